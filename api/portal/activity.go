package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/alarm"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/factor"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/notify"
)

const (
	activityPath = "/account/activity"
	activityPage = 25
)

// activityView lists what happened in the person's name.
type activityView struct {
	Account page.Navigation
	Rows    []Row
	Older   string // where what happened before that is; "" nothing did
	Newest  string // back to the begin; "" this is it
}

func (p *Portal) listActivity(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	var events []event.Event
	var next string
	after := r.URL.Query().Get("after")
	err := p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		events, next, err = event.About(tx, v.Tenant, v.UserID, after, activityPage)
		return err
	})
	if err != nil {
		return err
	}
	view := activityView{Account: v.Account(r, "activity")}
	own := page.Base(r) + activityPath
	for i := range events {
		row := happened(r, v, &events[i])
		if disownable(&events[i]) {
			row.Actions = v.may(Action{
				Label: site.Text(r, "activity.not_me"), Names: site.Text(r, "activity.not_me.label", row.Name, language.Moment(page.Language(r), events[i].Time)),
				Path: own, Post: true, Form: map[string]string{"event": events[i].ID},
			})
		}
		view.Rows = append(view.Rows, row)
	}
	if next != "" {
		view.Older = own + "?" + url.Values{"after": {next}}.Encode()
	}
	if after != "" {
		view.Newest = own
	}
	return activityList.Write(w, r, http.StatusOK, view)
}

func signedIn(e *event.Event) bool {
	return e.Type == event.SessionStarted || e.Type == event.SessionRenewed
}

// disownable reports whether a person may say of e that it was not them: of what they get a letter about that asks
// whether it was. Which address was changed is not in their list.
func disownable(e *event.Event) bool {
	address := e.Type == event.UserUpdated && e.Changed("email")
	return signedIn(e) || address || notify.Alarming(e)
}

// named are the kinds of what people have given names, by which they know one from the other.
var named = []string{"totp", "approver", "passkey", "certificate"}

// happened says in words what e was, when, and where from.
func happened(r *http.Request, v *Visitor, e *event.Event) Row {
	row := Row{Name: sentence(r, e)}
	when := language.Moment(page.Language(r), e.Time)
	byUser := e.Actor.Kind == identity.ActorUser && e.Actor.ID == v.UserID && e.Actor.Impersonator == ""
	switch {
	case e.Request.IP == "":
		row.Facts = append(row.Facts, when)
	case byUser || e.Type == event.SigninFailed || e.Type == event.ApprovalAsked:
		row.Facts = append(row.Facts, site.Text(r, "activity.from", when, Place(r, e.Request.IP)), Claimed(r, e.Request.UserAgent))
	default: // where an administrator sits is not the person's to know
		row.Facts = append(row.Facts, when)
	}
	if slices.Contains(named, e.Target.Kind) && e.Target.Name != "" {
		row.Facts = append([]string{e.Target.Name}, row.Facts...)
	}
	switch {
	case signedIn(e) && e.Target.ID == v.ID:
		row.Mark = site.Text(r, "sessions.this")
	case strings.HasPrefix(string(e.Type), "impersonation."): // says so itself
	case e.Actor.Kind == identity.ActorUser && !byUser, e.Actor.Kind == identity.ActorOperator:
		row.Mark = site.Text(r, "activity.administrator")
	}
	return row
}

// sentence is what e was. What has no text of its own is told as the catalogue of events
// does: to hide it would be worse.
func sentence(r *http.Request, e *event.Event) string {
	switch e.Type {
	case event.SigninFailed:
		if n := e.Data["count"]; n != "" && n != "1" {
			return site.Text(r, "event.signin.failed.several", n)
		}
	case event.SigninDisowned:
		if e.Data["of"] != "" {
			return site.Text(r, "event.signin.disowned.change")
		}
	case event.TokenCreated, event.TokenDeleted, event.GroupMemberAdded, event.GroupMemberRemoved, event.ConsentGiven, event.ConsentRevoked:
		return site.Text(r, "event."+string(e.Type), e.Target.Name)
	case event.UserUpdated:
		var fields []string
		for _, c := range e.Changes {
			name := c.Field
			if key := "field." + name; english[key] != "" {
				name = site.Text(r, key)
			}
			fields = append(fields, name)
		}
		return site.Text(r, "event.user.updated", strings.Join(fields, ", "))
	}
	for _, key := range []string{"event." + string(e.Type), "event." + string(e.Type) + "." + e.Target.Kind} {
		if _, ok := english[key]; ok {
			return site.Text(r, key)
		}
	}
	if text := event.Catalogue[e.Type]; text != "" {
		return text
	}
	return string(e.Type)
}

// disown takes a person's word that a sign-in, or a change, was not theirs: the account is locked down as by
// the link in a letter, but for this browser, and the next thing to do is another password.
func (p *Portal) disown(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	if err := p.modern(r.Context()); err != nil {
		return err
	}
	var e *event.Event
	var span alarm.Span
	var older []string
	err = authn.Settled(r.Context(), p.cfg.DB, func(tx *fsm.Tx) (err error) {
		if e, err = event.Mention(tx, v.Tenant, v.UserID, f.Get("event")); err != nil {
			return err
		}
		if span, err = alarm.SpanOf(tx, v.Tenant, v.UserID, v.ID, e); err != nil {
			return err
		}
		older, err = factor.Between(tx, v.Tenant, v.UserID, span.Since, v.AuthTime)
		return err
	})
	if err != nil {
		return err
	}
	data := map[string]string{"event": e.ID, "ip": e.Request.IP}
	switch {
	case signedIn(e):
		data["session"] = e.Target.ID
	case disownable(e):
		data["of"] = string(e.Type)
	default:
		return page.Unreadable(r)
	}
	// What this session may itself have been proved by goes only after another proof: who has but its cookie must not
	// take the owner's second factor away. What came later goes without, for it may be all that is asked for.
	update := v.Update
	if len(older) > 0 {
		if ok, err := v.Fresh(w, r, activityPath); !ok {
			return err
		}
		update = v.UpdateFresh
	}
	err = update(r.Context(), func(tx *fsm.Tx) error { return v.Disown(tx, span, data) })
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+DisownedPath)
}

// Where a person goes on who has said that something was not their doing; RefusedPath: a sign-in by which nobody got in.
const (
	DisownedPath = passwordPath + "?done=" + disowned
	RefusedPath  = passwordPath + "?done=" + refused
)

// Disown takes v's word, within a transaction of Update, that something was not their doing, in span; data say for the
// record what.
func (v *Visitor) Disown(tx *fsm.Tx, span alarm.Span, data map[string]string) error {
	const why = "the user said that it was not them"
	reads := v.User.EmailVerified && v.portal.cfg.Mails != nil
	if reads {
		var err error
		if reads, err = v.portal.cfg.Mails(tx, v.Tenant); err != nil {
			return err
		}
	}
	if err := alarm.Secure(tx, v.Tenant, v.UserID, v.ID, why, span, reads); err != nil {
		return err
	}
	if err := family.RevokeAll(tx, v.Tenant, v.UserID, why); err != nil {
		return err
	}
	return event.Append(tx, event.Event{
		Tenant: v.Tenant, Type: event.SigninDisowned, Target: event.Target{Kind: "user", ID: v.UserID, Name: v.User.Username}, Data: data,
	})
}

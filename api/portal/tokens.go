package portal

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/regain"
)

const (
	tokensPath = "/account/tokens"
	newToken   = tokensPath + "/new"
)

// lifetimes are how many days a token can be good for, the usual one first.
var lifetimes = []int{90, 7, 30, 180, 365}

type (
	// tokensView lists the person's access tokens.
	tokensView struct {
		Account page.Navigation
		Notice  string
		Rows    []Row
		New     string // where one is made
	}

	// newTokenView asks what a token shall be good for.
	newTokenView struct {
		Account      page.Navigation
		Alert        page.Alert
		Action, Back string
		Name         page.Field
		Scopes       []option
		Days         []option
	}

	// option is one of several that can be chosen.
	option struct {
		Value, Label string
		Chosen       bool
	}

	// madeTokenView shows a token, once.
	madeTokenView struct {
		Account     page.Navigation
		Name, Value string
		Until, Back string
	}
)

func (p *Portal) listTokens(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	view := tokensView{Account: v.Account(r, "tokens"), New: page.Base(r) + newToken}
	if v.Done == "revoked" {
		view.Notice = site.Text(r, "tokens.revoked")
	}
	tag := page.Language(r)
	err := p.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) error {
		view.Rows = nil
		for t, err := range credential.ListTokens(tx, v.Tenant, v.UserID) {
			if err != nil {
				return err
			}
			used, err := credential.TokenLastUsed(tx, t.ID)
			if err != nil {
				return err
			}
			row := Row{Name: t.Name, Facts: []string{scopeWords(r, t.Scopes), site.Text(r, "tokens.made", language.Date(tag, t.Created))}}
			if !t.Expires.IsZero() {
				row.Facts[1] = site.Text(r, "tokens.until", language.Date(tag, t.Created), language.Date(tag, t.Expires))
			}
			if used.IsZero() {
				row.Facts = append(row.Facts, site.Text(r, "tokens.unused"))
			} else {
				row.Facts = append(row.Facts, site.Text(r, "tokens.used", language.Ago(tag, used, p.cfg.DB.Now())))
			}
			row.Actions = v.may(Action{
				Label: site.Text(r, "tokens.revoke"), Names: site.Text(r, "tokens.revoke.label", t.Name),
				Path: page.Base(r) + tokensPath, Post: true, Form: map[string]string{"token": t.ID},
			})
			view.Rows = append(view.Rows, row)
		}
		slices.Reverse(view.Rows)
		return nil
	})
	if err != nil {
		return err
	}
	return tokensPage.Write(w, r, http.StatusOK, view)
}

func scopeWords(r *http.Request, scopes []string) string {
	if len(scopes) == 0 {
		scopes = []string{credential.ScopeWrite}
	}
	var words []string
	for _, s := range scopes {
		words = append(words, site.Text(r, "tokens.scope."+s))
	}
	return strings.Join(words, " · ")
}

// askToken asks what a new token shall be good for. Who has a token needs no second factor
// any more, so a recent proof is wanted first.
func (p *Portal) askToken(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	if ok, err := v.Fresh(w, r, newToken); !ok {
		return err
	}
	if err := p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error { return regain.Held(tx, v.Tenant, v.UserID) }); err != nil {
		return err
	}
	return p.writeNewToken(w, r, v, http.StatusOK, "", nil)
}

func (p *Portal) writeNewToken(w http.ResponseWriter, r *http.Request, v *Visitor, status int, name string, faults []*identity.Error) error {
	view := newTokenView{
		Account: v.Account(r, "tokens"), Action: page.Base(r) + newToken, Back: page.Base(r) + tokensPath,
		Name: page.Field{Name: "name", Label: site.Text(r, "tokens.name"), Value: name, Hint: site.Text(r, "tokens.name.hint"), Autocomplete: "off", Focus: true},
	}
	for _, s := range scopesOf(v) {
		view.Scopes = append(view.Scopes, option{s, site.Text(r, "tokens.scope."+s), s == credential.ScopeMe})
	}
	for i, days := range lifetimes {
		view.Days = append(view.Days, option{strconv.Itoa(days), site.Text(r, "tokens.days", days), i == 0})
	}
	page.Refuse(r, &view.Alert, faults, &view.Name)
	return newTokenPage.Write(w, r, status, view)
}

// scopesOf are those that make a difference to v: who is no administrator can look at
// nothing but their own account.
func scopesOf(v *Visitor) []string {
	if v.User.Admin {
		return credential.TokenScopes
	}
	return []string{credential.ScopeMe}
}

// createToken makes a token and shows it, in this answer and never again.
func (p *Portal) createToken(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	if ok, err := v.Fresh(w, r, newToken); !ok {
		return err
	}
	days, err := strconv.Atoi(f.Get("days"))
	if err != nil || !slices.Contains(lifetimes, days) || !slices.Contains(scopesOf(v), f.Get("scope")) {
		return page.Unreadable(r)
	}
	if err := p.modern(r.Context()); err != nil {
		return err
	}
	var t *credential.Token
	var value string
	err = v.UpdateFresh(r.Context(), func(tx *fsm.Tx) (err error) {
		if err := regain.Held(tx, v.Tenant, v.UserID); err != nil {
			return err
		}
		until := tx.Now().Add(time.Duration(days) * 24 * time.Hour)
		t, value, err = credential.CreateToken(tx, v.Tenant, v.UserID, f.Get("name"), "", until, f.Get("scope"))
		return err
	})
	if errors.Is(err, errShort) {
		return page.Onward(w, r, page.Base(r)+newToken)
	}
	if errors.Is(err, identity.ErrInvalid) {
		return p.writeNewToken(w, r, v, http.StatusUnprocessableEntity, f.Get("name"), identity.Errors(err))
	}
	if err != nil {
		return err
	}
	return madeTokenPage.Write(w, r, http.StatusOK, madeTokenView{
		Account: v.Account(r, "tokens"), Name: t.Name, Value: value, Until: language.Date(page.Language(r), t.Expires), Back: page.Base(r) + tokensPath,
	})
}

// modern makes sure that every member of the cluster knows the scopes of tokens: a release
// that does not would let such a token do everything.
func (p *Portal) modern(ctx context.Context) error {
	if p.cfg.Feature == nil {
		return nil
	}
	return p.cfg.Feature(ctx, feature.Authentication)
}

func (p *Portal) revokeToken(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		return gone(credential.DeleteToken(tx, v.Tenant, v.UserID, f.Get("token")))
	})
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+tokensPath+"?done=revoked")
}

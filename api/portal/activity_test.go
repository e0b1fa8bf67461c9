package portal_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/pending"
)

func TestActivity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.enter("grace").Get("/account/activity").Want(t, 200, "You signed in")
	f := s.Get("/account").Hidden("revision")
	s.Post("/account", url.Values{"revision": f, "name": {"Countess"}}).Want(t, 303)
	h.Update(func(tx *fsm.Tx) error { // by somebody who is no business of hers
		e := event.Event{Tenant: identity.DefaultTenant, Type: "wall.painted", Target: event.Target{Kind: "user", ID: h.Users["ada"]}, Actor: identity.Actor{Kind: identity.ActorOperator}}
		e.Request.IP = "198.51.100.99"
		return event.Append(tx, e)
	})
	a := s.Get("/account/activity").Want(t, 200, "You signed in", "Your profile was changed: name", "Your account was made", "Firefox on Linux", "your current network", "wall.painted", "by an administrator")
	s.Send("GET", "/account/activity", nil, http.Header{"Accept-Language": {"de"}}).Want(t, 200, "Ihr Profil wurde geändert: Name")
	if strings.Contains(a.Page, "Countess</strong>") || strings.Contains(a.Page, "198.51.100.99") || strings.Contains(a.Page, "Older") {
		t.Errorf("the page shows %s", a.Page)
	}
	h.Update(func(tx *fsm.Tx) error {
		for range portal.ActivityPage {
			if err := event.Append(tx, event.Event{Tenant: identity.DefaultTenant, Type: event.PasswordSet, Target: event.Target{Kind: "user", ID: h.Users["ada"]}}); err != nil {
				return err
			}
		}
		return nil
	})
	a = s.Get("/account/activity").Want(t, 200, "Older")
	_, older, _ := strings.Cut(a.Page, `href="/account/activity?after=`)
	older, _, _ = strings.Cut(older, `"`)
	s.Get("/account/activity?after="+older).Want(t, 200, "You signed in", "Back to the newest")
	s.Get("/account/activity?after=!").Want(t, 400)
}

func TestThisWasNotMe(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger, s, grace := h.enter("ada"), h.enter("ada"), h.enter("grace")
	h.Update(func(tx *fsm.Tx) error { // whoever it was has begun to take the account over
		_, err := pending.BeginEmailChange(tx, identity.DefaultTenant, h.Users["ada"], "eve@example.com")
		return err
	})
	ids := s.Get("/account/activity").Hidden("event")
	if len(ids) < 2 {
		t.Fatalf("%d of what she may disown", len(ids))
	}
	ids = ids[:2] // the sign-ins, which are the newest
	grace.Post("/account/activity", url.Values{"event": ids[:1]}).Want(t, 404)
	stranger.Get("/account").Want(t, 200)
	s.done("/account/activity", url.Values{"event": ids[1:]}).Want(t, 200, "You are signed out everywhere but here", "Choose another password now")
	stranger.Get("/account").Want(t, 303)
	h.view(func(tx *fsm.Tx) error {
		why, err := credential.Expired(tx, identity.DefaultTenant, h.Users["ada"])
		c, err2 := pending.EmailChangeOf(tx, identity.DefaultTenant, h.Users["ada"])
		if why != credential.Requested || c != nil {
			t.Errorf("change of the password: %q, of the address: %+v", why, c)
		}
		return errors.Join(err, err2)
	})
	s.Get("/account/activity").Want(t, 200, "You said that a sign-in was not yours")
	s.Post("/account/activity", url.Values{"event": {"evt_none"}}).Want(t, 404)

	h.Update(func(tx *fsm.Tx) error { return credential.DeleteAllOf(tx, identity.DefaultTenant, h.Users["ada"]) })
	to := s.Post("/account/activity", url.Values{"event": ids[1:]}).Want(t, 303).Header.Get("Location")
	to = s.Get(to).Want(t, 303).Header.Get("Location")
	s.Get(to).Want(t, 200, "Look through what stands below")
}

// Of what a letter asks whether it was them, and of a token, a person can say so in the list of their activity as well,
// whoever did it; of other things they cannot.
func TestThisChangeWasNotMine(t *testing.T) {
	t.Parallel()
	ada := func(h *house) event.Target { return event.Target{Kind: "user", ID: h.Users["ada"]} }
	data := func(h *house) map[string]string { return map[string]string{"user_id": h.Users["ada"]} }
	for name, c := range map[string]struct {
		happened func(h *house) event.Event
		disowned bool
	}{
		"a password set": {func(h *house) event.Event { return event.Event{Type: event.PasswordSet, Target: ada(h)} }, true},
		"by an administrator": {func(h *house) event.Event {
			return event.Event{Type: event.PasswordSet, Target: ada(h), Actor: identity.Actor{Kind: identity.ActorOperator}}
		}, true},
		"a passkey added": {func(h *house) event.Event {
			return event.Event{Type: event.PasskeyCreated, Target: event.Target{Kind: "passkey", ID: "psk_1", Name: "Phone"}, Data: data(h)}
		}, true},
		"an app removed": {func(h *house) event.Event {
			return event.Event{Type: event.FactorRemoved, Target: event.Target{Kind: "totp", ID: "tot_1", Name: "Phone"}, Data: data(h)}
		}, true},
		"a token made": {func(h *house) event.Event {
			return event.Event{Type: event.TokenCreated, Target: event.Target{Kind: "token", ID: "tok_1", Name: "backup"}, Data: data(h)}
		}, true},
		"another address": {func(h *house) event.Event {
			return event.Event{Type: event.UserUpdated, Target: ada(h), Changes: []event.Change{{Field: "email", Before: "ada@example.com", After: "eve@example.com"}}}
		}, true},
		"another name": {func(h *house) event.Event {
			return event.Event{Type: event.UserUpdated, Target: ada(h), Changes: []event.Change{{Field: "name", Before: "Ada", After: "Eve"}}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			stranger, s := h.enter("ada"), h.enter("ada")
			e := c.happened(h)
			e.Tenant = identity.DefaultTenant
			h.Update(func(tx *fsm.Tx) error { return event.Append(tx, e) })
			var newest string
			h.view(func(tx *fsm.Tx) error {
				all, _, err := event.About(tx, e.Tenant, h.Users["ada"], "", 1)
				newest = all[0].ID
				return err
			})
			if offered := slices.Contains(s.Get("/account/activity").Hidden("event"), newest); offered != c.disowned {
				t.Fatalf("offered: %v", offered)
			}
			if !c.disowned {
				s.Post("/account/activity", url.Values{"event": {newest}}).Want(t, 400)
				stranger.Get("/account").Want(t, 200)
				return
			}
			s.done("/account/activity", url.Values{"event": {newest}}).Want(t, 200, "You are signed out everywhere but here")
			stranger.Get("/account").Want(t, 303)
			s.Get("/account/activity").Want(t, 200, "You said that a change to your account was not yours")
		})
	}
}

// What happens to the ways by which a person signs in is told in the person's words and language,
// not in those of the catalogue, which is for administrators.
func TestActivityHasWords(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/account/activity", nil)
	prefixes := []string{"factor.", "passkey.", "certificate.", "recovery", "trusted_device.", "password.", "alarm.", "session.", "impersonation.", "approval."}
	for what, catalogue := range event.Catalogue {
		about := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(string(what), p) })
		if !about || what == event.PasskeyMetadataImported {
			continue
		}
		kinds := []string{"user"}
		if strings.HasPrefix(string(what), "factor.") {
			kinds = []string{"totp", "approver"}
		}
		if what == event.FactorRemoved {
			kinds = append(kinds, "recovery_codes")
		}
		for _, kind := range kinds {
			if got := portal.Sentence(r, &event.Event{Type: what, Target: event.Target{Kind: kind}}); got == catalogue || got == string(what) {
				t.Errorf("%s of %s: %q", what, kind, got)
			}
		}
	}
}

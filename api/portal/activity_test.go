package portal

import (
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/event"
)

func TestActivity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.enter("grace").get("/account/activity").want(t, 200, "You signed in")
	f := s.get("/account").hidden("revision")
	s.post("/account", url.Values{"revision": f, "name": {"Countess"}}).want(t, 303)
	h.update(func(tx *fsm.Tx) error { // by somebody who is no business of hers
		e := event.Event{Tenant: identity.DefaultTenant, Type: "wall.painted", Target: event.Target{Kind: "user", ID: h.users["ada"]}, Actor: identity.Actor{Kind: identity.ActorOperator}}
		e.Request.IP = "198.51.100.99"
		return event.Append(tx, e)
	})
	a := s.get("/account/activity").want(t, 200, "You signed in", "Your profile was changed: name", "Your account was made", "Firefox on Linux", "your present network", "wall.painted", "by an administrator")
	if strings.Contains(a.body, "Countess</strong>") || strings.Contains(a.body, "198.51.100.99") || strings.Contains(a.body, "Older") {
		t.Errorf("the page shows %s", a.body)
	}
	h.update(func(tx *fsm.Tx) error {
		for range activityPage {
			if err := event.Append(tx, event.Event{Tenant: identity.DefaultTenant, Type: event.PasswordSet, Target: event.Target{Kind: "user", ID: h.users["ada"]}}); err != nil {
				return err
			}
		}
		return nil
	})
	a = s.get("/account/activity").want(t, 200, "Older")
	_, older, _ := strings.Cut(a.body, `href="/account/activity?after=`)
	older, _, _ = strings.Cut(older, `"`)
	s.get("/account/activity?after="+older).want(t, 200, "You signed in", "Back to the newest")
	s.get("/account/activity?after=!").want(t, 400)
}

func TestThisWasNotMe(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger, s, grace := h.enter("ada"), h.enter("ada"), h.enter("grace")
	ids := s.get("/account/activity").hidden("event")
	if len(ids) != 2 {
		t.Fatalf("%d sign-ins", len(ids))
	}
	grace.post("/account/activity", url.Values{"event": ids[:1]}).want(t, 404)
	stranger.get("/account").want(t, 200)
	s.done("/account/activity", url.Values{"event": ids[1:]}).want(t, 200, "You are signed out everywhere but here", "Choose another password now")
	stranger.get("/account").want(t, 303)
	s.get("/account/activity").want(t, 200, "You said that a sign-in was not yours")
	s.post("/account/activity", url.Values{"event": {"evt_none"}}).want(t, 404)

	h.update(func(tx *fsm.Tx) error { return credential.DeleteAllOf(tx, identity.DefaultTenant, h.users["ada"]) })
	to := s.post("/account/activity", url.Values{"event": ids[1:]}).want(t, 303).Header.Get("Location")
	to = s.get(to).want(t, 303).Header.Get("Location")
	s.get(to).want(t, 200, "Look through what stands below")
}

package approval

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/notify/push"
)

// pushView has this browser told of sign-ins that wait, or not any more.
type pushView struct {
	Action string // where the form goes; "": it is another browser
	Key    string // that a subscription is bound to, as the script reads it; "": there is one
	Worker string // path of the service worker
	Scope  string // of paths that it is in charge of
}

// pushView is for the approver a, if it is the browser of v.
func (s *Section) pushView(r *http.Request, v *portal.Visitor, a *approval.Approver) (view pushView, err error) {
	if s.cfg.PushKey == nil || a.Session != v.ID {
		return view, nil
	}
	told := false
	err = s.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		told, err = push.Subscribed(tx, v.Tenant, v.UserID, v.ID)
		return err
	})
	if err != nil {
		return view, err
	}
	at := page.Base(r) + path + "/" + a.ID
	view = pushView{Action: at + "/quiet", Worker: page.Base(r) + page.WorkerPath, Scope: page.Base(r) + page.WorkerScope}
	if told {
		return view, nil
	}
	// The page is there for other things too while an older member would not understand the
	// key, or there is no leader to make one.
	var key []byte
	if err = s.cfg.Use(r.Context()); err == nil {
		key, err = s.cfg.PushKey(r.Context())
	}
	if errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, fsm.ErrUnknown) {
		return pushView{}, nil
	}
	view.Action, view.Key = at+"/tell", base64.RawURLEncoding.EncodeToString(key)
	return view, err
}

// here returns the approver of the path, which must be this browser.
func (s *Section) here(r *http.Request, v *portal.Visitor) (approval.Approver, error) {
	a, err := s.find(r, v)
	if err == nil && a.Session != v.ID {
		err = fsm.ErrNotFound
	}
	return a, err
}

// tell keeps the push subscription that the script of this browser made.
func (s *Section) tell(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	a, err := s.here(r, v)
	if err != nil {
		return err
	}
	sub, err := s.read(r, v, f)
	if err != nil {
		return err
	}
	if err := s.cfg.Use(r.Context()); err != nil {
		return err
	}
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		at, err := approval.At(tx, v.Tenant, v.UserID, v.ID)
		if err != nil {
			return err
		}
		if at == nil || at.ID != a.ID { // removed meanwhile
			return fsm.ErrNotFound
		}
		return push.Subscribe(tx, sub)
	})
	if err != nil {
		return err
	}
	return done(w, r, "approver-told")
}

// read returns the subscription of v's browser that a form has, if its address may be dialled.
func (s *Section) read(r *http.Request, v *portal.Visitor, f url.Values) (push.Subscription, error) {
	sub, err := push.Read(f.Get("endpoint"), f.Get("p256dh"), f.Get("auth"), f.Get("key"))
	if err == nil && s.cfg.Check(sub.Endpoint) != nil {
		err = identity.Invalid("endpoint", site.Text(r, "push.failed"))
	}
	sub.Tenant, sub.UserID, sub.Session, sub.Expires, sub.Language = v.Tenant, v.UserID, v.ID, v.Expires, page.Language(r)
	return sub, err
}

// follow keeps the subscription that this browser has now, if its person wants it told. The
// browser says so by itself, when it has changed it or a page of ours sees that it is another. What it
// has to bind a new one to is the answer if it has none, one that is bound to another key, or one that
// is gone at its push service.
func (s *Section) follow(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	wanted := false
	err = s.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		_, wanted, err = push.Mark(tx, v.Tenant, v.UserID, v.ID)
		return err
	})
	if err == nil && !wanted {
		err = fsm.ErrNotFound
	}
	if err != nil {
		return err
	}
	key, err := s.cfg.PushKey(r.Context())
	if err != nil {
		return err
	}
	text := base64.RawURLEncoding.EncodeToString(key)
	if f.Get("endpoint") == "" || f.Get("key") != text {
		anew(w, text)
		return nil
	}
	sub, err := s.read(r, v, f)
	if err != nil {
		return err
	}
	err = v.Update(r.Context(), func(tx *fsm.Tx) error { return push.Follow(tx, sub) })
	if errors.Is(err, push.ErrGone) {
		anew(w, text)
		return nil
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// anew tells a worker to subscribe anew, with a key.
func anew(w http.ResponseWriter, key string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, key) // the browser has left: nobody to tell
}

// quiet ends the messages to this browser.
func (s *Section) quiet(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if _, err := s.here(r, v); err != nil {
		return err
	}
	err := v.Update(r.Context(), func(tx *fsm.Tx) error { return push.Forget(tx, v.Tenant, v.UserID, v.ID) })
	if err != nil {
		return err
	}
	return done(w, r, "approver-quiet")
}

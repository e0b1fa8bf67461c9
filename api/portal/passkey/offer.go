package passkey

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

const (
	offerPath = path + "/offer"
	laterPath = offerPath + "/later"

	quiet = 30 * 24 * time.Hour // for so long nobody is asked again who said "not now"
)

var (
	offerPage = page.Page[offerView](site, "templates/offer.html")
	takenPage = page.Page[takenView](site, "templates/taken.html")
)

// Offer is where somebody is taken who has just signed in with a password, before they go on to
// the path to: to the page that offers them a passkey, if they have none and did not say "not
// now" lately; otherwise "". What cannot be found out now is no reason to keep them. Who was let
// in because the device is trusted is not asked either: to make a passkey they would have to prove
// the second factor, which is what they are spared on this device.
func (s *Section) Offer(r *http.Request, in *session.Session, to string) string {
	t := identity.TenantFrom(r.Context())
	if _, err := passkey.RPID(t.Issuer); err != nil || !authn.LocalPath(to) || assurance.Has(in.Factors, assurance.Device) || s.cfg.Memory.Quiet(r, in.UserID, s.cfg.DB.Now()) {
		return ""
	}
	open := false
	err := s.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		decided, _, err := settings.Get(tx, t.ID)
		if err != nil {
			return err
		}
		open = decided.LocalLogin && decided.PasskeyLogin
		for _, err := range passkey.List(tx, t.ID, in.UserID) {
			open = false
			return err
		}
		return nil
	})
	if err != nil || !open {
		return ""
	}
	return page.Base(r) + offerPath + "?" + url.Values{"then": {to}}.Encode()
}

type offerView struct {
	Alert            page.Alert
	Options, Session string // of a passkey that the person asks for
	Unasked, Quietly string // the same of one that is made without asking; "": none is
	Action           string
	Then, Later      string
}

// onward is where the person was going.
func onward(r *http.Request, then string) string {
	if !authn.LocalPath(then) {
		return page.Base(r) + "/"
	}
	return then
}

// offer shows the offer. Whoever comes late, or by a link of a stranger, proves first who they are.
func (s *Section) offer(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	then := onward(r, r.URL.Query().Get("then"))
	if ok, err := v.FreshToSetUp(w, r, offerPath); !ok {
		return err
	}
	return s.writeOffer(w, r, v, http.StatusOK, then, nil)
}

func (s *Section) writeOffer(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status int, then string, fault error) error {
	query := "?" + url.Values{"then": {then}}.Encode()
	view := offerView{Action: page.Base(r) + offerPath + query, Then: then, Later: page.Base(r) + laterPath + query}
	for _, e := range identity.Errors(fault) {
		view.Alert.Text = page.Detail(r, e)
	}
	var err error
	if view.Options, view.Session, err = s.begin(r, v, asked); err == nil && fault == nil {
		view.Unasked, view.Quietly, err = s.begin(r, v, unasked)
	}
	if errors.Is(err, identity.ErrInvalid) { // none can be, or no more
		return page.Onward(w, r, then)
	}
	if err != nil {
		return err
	}
	return offerPage.Write(w, page.Here(r, view.Action), status, view)
}

// unasked begins a passkey that the browser may make by itself; nothing if the tenant wants others.
func unasked(tx *fsm.Tx, t identity.Tenant, name string, a *settings.Authentication, u *directory.User) (options, session []byte, err error) {
	if !passkey.Unasked(a.Passkey) {
		return nil, nil, nil
	}
	return passkey.BeginUnasked(tx, t, name, a.Passkey, u)
}

type takenView struct{ Then string }

// take takes what the browser has made, and leads on.
func (s *Section) take(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	if ok, err := v.FreshToSetUp(w, r, offerPath); !ok {
		return err
	}
	then, sealed := onward(r, r.URL.Query().Get("then")), f.Get("session")
	if f.Get("unasked") != "" {
		sealed = f.Get("quietly")
	}
	_, err = s.register(r, v, sealed, f)
	if errors.Is(err, identity.ErrInvalid) || errors.Is(err, fsm.ErrExists) {
		return s.writeOffer(w, r, v, http.StatusUnprocessableEntity, then, err)
	}
	if err != nil {
		return err
	}
	// The ticket says that enough was proved, which was true of somebody without a passkey: now
	// the protocol has to ask again, and may want to see it.
	then, _, _ = strings.Cut(then, authn.TicketParameter+"=")
	then = strings.TrimRight(then, "?&")
	page.LeaveAfter(w, 1, then)
	return takenPage.Write(w, r, http.StatusOK, takenView{then})
}

// later leads on, and has this browser not ask again for a while.
func (s *Section) later(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	s.cfg.Memory.Quieten(w, r, v.UserID, s.cfg.DB.Now().Add(quiet))
	return page.Onward(w, r, onward(r, r.URL.Query().Get("then")))
}

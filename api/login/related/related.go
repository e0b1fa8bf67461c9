// Package related serves /.well-known/webauthn: which origins besides our own may use the
// passkeys of this house (WebAuthn L3 §5.11.1).
//
// All tenants share one host, and so one RP ID, and browsers read the document at the root of
// that host only. So it names what any tenant lists. That lets nobody in elsewhere: a tenant
// accepts what was signed at its own origins, and at no others.
//
// That a browser reads it, and signs in at an origin that is listed and at no other, is seen in
// e2e/browser.
//
// Anybody may ask for it, and it concerns all tenants, so it is kept for [kept] and not made
// anew for each who asks. A node knows of a change by then.
package related

import (
	"net/http"
	"sync"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/settings"
)

// kept is for how long a document is served before the settings are looked at again.
const kept = time.Minute

// A Room serves the document at the root. It is safe for concurrent use.
type Room struct {
	db        *fsm.DB
	publicURL string

	mu       sync.Mutex
	document []byte // nil: there are no other origins
	until    time.Time
}

// New returns the Room of the house at publicURL.
func New(db *fsm.DB, publicURL string) *Room { return &Room{db: db, publicURL: publicURL} }

// Routes mounts the document, for the root only.
func (m *Room) Routes(mux *http.ServeMux) {
	mux.Handle("GET /.well-known/webauthn", page.Handle(m.serve))
}

func (m *Room) serve(w http.ResponseWriter, r *http.Request) error {
	document, err := m.current(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(document)
	return err
}

// current returns the document; while it is made anew, others who ask wait for it.
func (m *Room) current(r *http.Request) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.db.Now()
	if !now.Before(m.until) {
		var origins []string
		err := m.db.View(r.Context(), func(tx *fsm.Tx) (err error) {
			origins, err = settings.RelatedOrigins(tx, "")
			return err
		})
		if err != nil {
			return nil, err
		}
		if m.document, err = passkey.RelatedOrigins(m.publicURL, origins); err != nil {
			return nil, err
		}
		m.until = now.Add(kept)
	}
	if m.document == nil {
		return nil, identity.NotFound("No other origin may use the passkeys of this one.")
	}
	return m.document, nil
}

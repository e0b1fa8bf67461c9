package portal

import (
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/session"
)

const (
	// AnswerPath is where a sign-in that waits for an approval is answered (api/portal/approval).
	AnswerPath = "/account/approvals/sign-in"

	askedPath = "/account/approvals/asked"
)

// asked reports whether a sign-in waits for an approval of the person of s, and whether the
// browser of s may give it.
func asked(tx *fsm.Tx, s *session.Session) (waits, may bool, err error) {
	a, err := approval.At(tx, s.Tenant, s.UserID, s.ID)
	if err != nil {
		return false, false, err
	}
	q, err := approval.Waiting(tx, s.Tenant, s.UserID)
	return q != nil, a != nil && approval.Strong(s.Factors), err
}

// told is what the browser of s needs to see whether its push subscription is the one that is
// known, if it is to be told of what waits.
func told(tx *fsm.Tx, r *http.Request, s *session.Session) (t page.Told, err error) {
	mark, wanted, err := push.Mark(tx, s.Tenant, s.UserID, s.ID)
	if wanted {
		t = page.Told{Scope: page.Base(r) + page.WorkerScope, Mark: mark}
	}
	return t, err
}

// unattended lets h answer what the script of somebody who is signed in asks by itself.
func (p *Portal) unattended(h Handler) http.Handler {
	return page.Handle(func(w http.ResponseWriter, r *http.Request) error {
		t := identity.TenantFrom(r.Context())
		w.Header().Set("Cache-Control", "no-store")
		c, err := r.Cookie(p.cfg.SessionCookie(t))
		if err != nil {
			return identity.Unauthenticated("You are not signed in.")
		}
		s, err := p.cfg.Sessions.Look(r.Context(), t.ID, c.Value)
		if err != nil {
			return err
		}
		if s.Impersonation != nil && r.Method != http.MethodGet {
			return session.ErrImpersonated
		}
		return h(w, r.WithContext(identity.WithActor(r.Context(), s.Actor())), &Visitor{Session: s, portal: p})
	})
}

// showAsked tells the script of an open page whether a sign-in waits: 200, or 204.
func (p *Portal) showAsked(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	waits := false
	err := p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		waits, _, err = asked(tx, v.Session)
		return err
	})
	if err == nil && !waits {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

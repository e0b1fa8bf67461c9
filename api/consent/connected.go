package consent

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/language"
)

const (
	connectedPath = "/account/applications"
	maxConnected  = 200 // applications on the page
)

// held is what one application holds for a user.
type held struct {
	app    *federation.Application
	scopes []string
	since  time.Time
	until  time.Time // of the consent; zero: nobody was asked
}

// listConnected shows which applications hold something for the person, whether they were
// asked or not. Whoever is signed in may look, however long ago that was: nothing can be
// given here, only taken back.
func (p *Pages) listConnected(w http.ResponseWriter, r *http.Request) error {
	v, err := p.within(w, r, connectedPath, 0)
	if v == nil {
		return err
	}
	r = page.Account(r, v.user.Locale)
	var all []*held
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		all, err = connected(tx, v.Tenant, v.UserID)
		return err
	})
	if err != nil {
		return err
	}
	view := connectedView{Account: account(r, v.user, "applications", v.Impersonation != nil), Action: page.Base(r) + connectedPath}
	if r.URL.Query().Get("done") == "revoked" {
		view.Notice = site.Text(r, "connected.revoked")
	}
	for _, h := range all {
		asks, err := p.asks(r, h.scopes)
		if err != nil {
			return err
		}
		c := connection{ID: h.app.ID, Application: h.app.DisplayName(), Initials: initials(h.app.DisplayName()), Asks: asks, Since: language.Date(page.Language(r), h.since)}
		if !h.until.IsZero() {
			c.Until = language.Date(page.Language(r), h.until)
		}
		view.Connections = append(view.Connections, c)
	}
	return connectedPage.Write(w, r, http.StatusOK, view)
}

// connected collects what stands: consents, and what first-party applications hold by
// tokens that are still good.
func connected(tx *fsm.Tx, tenant, userID string) ([]*held, error) {
	byApp := map[string]*held{}
	add := func(application string, scopes []string, since time.Time) (*held, error) {
		h := byApp[application]
		if h == nil {
			if len(byApp) >= maxConnected {
				return &held{}, nil
			}
			app, _, err := federation.Get(tx, tenant, application)
			if errors.Is(err, fsm.ErrNotFound) { // deleted; what it held is void
				return &held{}, nil
			}
			if err != nil {
				return nil, err
			}
			h = &held{app: app, since: since}
			byApp[application] = h
		}
		for _, s := range scopes {
			if !slices.Contains(h.scopes, s) {
				h.scopes = append(h.scopes, s)
			}
		}
		if since.Before(h.since) {
			h.since = since
		}
		return h, nil
	}
	for c, err := range consent.ListOf(tx, tenant, userID) {
		if err != nil {
			return nil, err
		}
		h, err := add(c.Application, c.Scopes, c.Given)
		if err != nil {
			return nil, err
		}
		h.until = c.Until
	}
	now := tx.Now().UnixMilli()
	for f, err := range family.Of(tx, tenant, userID) {
		if err != nil {
			return nil, err
		}
		if f.RevokedAt != 0 || f.Expires < now {
			continue
		}
		if _, err := add(f.Application, f.Scope, time.UnixMilli(f.Created)); err != nil {
			return nil, err
		}
	}
	all := make([]*held, 0, len(byApp))
	for _, h := range byApp {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b *held) int {
		return strings.Compare(strings.ToLower(a.app.DisplayName())+a.app.ID, strings.ToLower(b.app.DisplayName())+b.app.ID)
	})
	return all, nil
}

// revoke takes back what one application holds: one log entry, or none if it is gone.
func (p *Pages) revoke(w http.ResponseWriter, r *http.Request) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	v, err := p.within(w, r, connectedPath, 0)
	if v == nil {
		return err
	}
	r = page.Account(r, v.user.Locale)
	ctx := identity.WithActor(r.Context(), v.Actor())
	err = p.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		return consent.Revoke(tx, v.Tenant, v.UserID, f.Get("application"), "taken back by the user")
	})
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	return page.Onward(w, r, page.Base(r)+connectedPath+"?done=revoked")
}

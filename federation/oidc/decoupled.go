package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

const decoupledPath = "/oauth2/bc-authorize"

// decoupledAnswer acknowledges a request (OpenID CIBA Core, section 7.3).
type decoupledAnswer struct {
	ID       string `json:"auth_req_id"`
	Expires  int64  `json:"expires_in"`
	Interval int    `json:"interval"`
}

// startDecoupled is the backchannel authentication endpoint (OpenID CIBA Core, section 7): one log entry.
func (p *Provider) startDecoupled(w http.ResponseWriter, r *http.Request) (*decoupledAnswer, error) {
	ctx := r.Context()
	form, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	who, err := p.identify(ctx, r, form)
	if err != nil {
		return nil, err
	}
	app := who.App
	switch {
	case app.IsPublic:
		return nil, errClient
	case !app.Allows(federation.GrantCIBA):
		return nil, refuse(codeUnauthorizedClient, "The application is not allowed to use this grant type.")
	}
	q, life, err := p.readDecoupled(ctx, app, form)
	if err != nil {
		return nil, err
	}
	if q.UserID, err = p.asked(ctx, app, form); err != nil {
		return nil, err
	}
	from := poll.Starter{Tenant: app.Tenant, Application: app.ID}
	if err := p.await(ctx, who, ciba.Limit, from, func(tx *fsm.Tx) error { return ciba.Start(tx, q, life) }); err != nil {
		return nil, err
	}
	id, err := poll.CIBA.Code(p.ring, q.Tenant, q.ClientID, q.Family, q.Key)
	if err != nil {
		return nil, err
	}
	return &decoupledAnswer{id, (q.Expires - q.Created) / 1000, int(poll.Interval / time.Second)}, nil
}

// readDecoupled reads what is asked, but for whom (OpenID CIBA Core, section 7.1).
func (p *Provider) readDecoupled(ctx context.Context, app *federation.Application, form url.Values) (q *ciba.Request, life time.Duration, err error) {
	q = &ciba.Request{Tenant: app.Tenant, Application: app.ID, ClientID: app.ClientID, Key: p.ring.CurrentKey(), Message: form.Get("binding_message")}
	if q.Grant, err = p.askedFor(ctx, app, form); err != nil {
		return nil, 0, err
	}
	q.Family = ciba.NewID()
	life, ok := ciba.ParseExpiry(form.Get("requested_expiry"))
	token := form.Get("client_notification_token")
	switch {
	case form.Has("request"):
		return nil, 0, refuse(codeInvalidRequest, "Signed backchannel requests are not supported.")
	case !slices.Contains(q.Scope, federation.ScopeOpenID):
		return nil, 0, refuse(codeInvalidScope, "The scope must contain openid.")
	case !ciba.ValidMessage(q.Message):
		return nil, 0, refuse(codeInvalidMessage, "The binding_message must be at most 100 printable characters on one line.")
	case !ok:
		return nil, 0, refuse(codeInvalidRequest, "The requested_expiry must be a number of seconds.")
	case app.CIBA.Mode != federation.CIBAPing:
		return q, life, nil
	case !ciba.ValidToken(token):
		return nil, 0, refuse(codeInvalidRequest, "The client_notification_token must be 22 to 1024 characters that a bearer token may have.")
	}
	q.Token, err = ciba.SealToken(p.ring, q.Tenant, q.Family, token)
	return q, life, err
}

var errUnknownUser = refuse(codeUnknownUser, "The hint names no user who could be asked.")

// asked returns the ID of the user whom the one hint of a request names. An application
// that may ask learns who is there; who is not, or is disabled, is one answer.
func (p *Provider) asked(ctx context.Context, app *federation.Application, form url.Values) (string, error) {
	hint, token := form.Get("login_hint"), form.Get("id_token_hint")
	switch {
	case form.Get("login_hint_token") != "":
		return "", refuse(codeInvalidRequest, "Parameter login_hint_token is not supported: send login_hint or id_token_hint.")
	case (hint == "") == (token == ""):
		return "", refuse(codeInvalidRequest, "Exactly one of login_hint and id_token_hint must be sent.")
	case len(hint) > maxNonce || len(token) > maxHint:
		return "", refuse(codeInvalidRequest, "The hint is too long.")
	}
	find := func(tx *fsm.Tx) (*directory.User, error) { return directory.UserByLogin(tx, app.Tenant, hint) }
	if token != "" {
		t, err := p.readHint(ctx, token)
		if err != nil {
			return "", err
		}
		if t == nil || t.Audience != app.ClientID {
			return "", errUnknownUser
		}
		find = func(tx *fsm.Tx) (*directory.User, error) { return hinted(tx, app, t) }
	}
	var user string
	err := p.lookup(ctx, func(tx *fsm.Tx) error {
		u, err := find(tx)
		if err != nil {
			return err
		}
		if u.Disabled {
			return fsm.ErrNotFound
		}
		user = u.ID
		may, err := federation.MayUse(tx, app, u.ID)
		if err == nil && !may {
			return identity.ErrDenied
		}
		return err
	})
	switch {
	case errors.Is(err, fsm.ErrNotFound):
		return "", errUnknownUser
	case errors.Is(err, identity.ErrDenied):
		return "", refuse(codeAccessDenied, "The user may not use this application.")
	}
	return user, err
}

// hinted is the user of an ID token. A pairwise subject cannot be looked up, so its session
// says who it is, while there is one.
func hinted(tx *fsm.Tx, app *federation.Application, t *idToken) (*directory.User, error) {
	id := t.Subject
	if app.Subject.Type == federation.SubjectPairwise {
		s, err := session.Get(tx, app.Tenant, t.Session)
		if err != nil {
			return nil, err
		}
		same, err := federation.IsSubject(tx, app, t.Subject, s.UserID)
		if err != nil {
			return nil, err
		}
		if !same {
			return nil, fsm.ErrNotFound
		}
		id = s.UserID
	}
	u, _, err := directory.GetUser(tx, app.Tenant, id)
	return u, err
}

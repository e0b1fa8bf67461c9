package admin

import (
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys"
)

func (a *API) signingKeys() []route {
	return []route{
		{Method: "GET", Path: "/keys", Op: "listKeys", Summary: "List the signing keys of the tenant, those in use first.", Do: handle(a.listKeys)},
		{Method: "POST", Path: "/keys/rotate", Op: "rotateKeys", Summary: "Publish successors now; they become active in the normal phases.", Do: handle(a.rotateKeys)},
		{Method: "POST", Path: "/keys/rotate-emergency", Op: "rotateKeysEmergency", Summary: "Replace keys at once: everything that the old ones signed is void.", Do: handle(a.rotateEmergency)},
	}
}

type signingKey struct {
	Kid       string     `json:"kid" doc:"Key ID, as in the JWKS."`
	Alg       string     `json:"alg" doc:"JWS algorithm."`
	State     string     `json:"state" enum:"published|active|retiring|gone" doc:"published: in the JWKS, not used; active: signs; retiring: only verifies; gone: refused."`
	CreatedAt time.Time  `json:"created_at" doc:"When it was made."`
	Since     time.Time  `json:"since" doc:"Since when it is in this state."`
	NextAt    *time.Time `json:"next_at,omitempty" doc:"When it may leave this state, if that is known."`
}

func (a *API) listKeys(c *call, _ *none) (*page[signingKey], error) {
	rows, err := a.cfg.Keys.List(c.Ctx, c.Tenant.ID)
	return show(rows, "", func(k *keys.KeyInfo) signingKey {
		out := signingKey{Kid: k.KID, Alg: string(k.Alg), State: k.State.String(), CreatedAt: k.Created, Since: k.Since}
		if !k.Next.IsZero() {
			out.NextAt = &k.Next
		}
		return out
	}), err
}

type rotation struct {
	Alg string `json:"alg" enum:"ES256|EdDSA|PS256|RS256" doc:"Only keys of this algorithm; by default of every one in use."`
}

type rotateIn struct {
	Body rotation `required:"false"`
}

func (a *API) rotateKeys(c *call, in *rotateIn) (*page[signingKey], error) {
	return a.rotate(c, in.Body.Alg, a.cfg.Keys.RotateNow)
}

func (a *API) rotateEmergency(c *call, in *rotateIn) (*page[signingKey], error) {
	return a.rotate(c, in.Body.Alg, a.cfg.Keys.RotateEmergency)
}

func (a *API) rotate(c *call, alg string, how rotateFunc) (*page[signingKey], error) {
	infos, err := a.cfg.Keys.List(c.Ctx, c.Tenant.ID)
	if err != nil {
		return nil, err
	}
	found := false
	for _, k := range infos {
		if k.State != keys.Active || alg != "" && alg != string(k.Alg) {
			continue
		}
		found = true
		if err := how(c.Ctx, c.Tenant.ID, k.Alg); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, identity.NotFound("The tenant has no active key of this algorithm.")
	}
	return a.listKeys(c, nil)
}

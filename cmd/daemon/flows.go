package daemon

import (
	"context"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
)

// newFlows is signing in, with what it needs of other rooms.
func (n *Node) newFlows() *authn.Flows {
	return authn.New(authn.Config{
		DB: n.db, Ring: n.ring, Sessions: n.sessions,
		CheckPassword: func(ctx context.Context, tenant, userID, password string) error {
			return credential.CheckPassword(ctx, n.db, n.passwords, tenant, userID, password)
		},
		NewPassword: func(ctx context.Context, who credential.Person, password string) (string, error) {
			return credential.Prepare(ctx, n.db, n.passwords, credential.Checks{}, who, password)
		},
		Forget: func(tx *fsm.Tx, tenant, user string) error {
			return family.RevokeAll(tx, tenant, user, "password changed")
		},
		Logger: n.log, Registerer: n.metrics.Registry,
	})
}

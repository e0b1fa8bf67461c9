package daemon

import (
	"strings"

	"github.com/quis-idp/quis/cluster/rootkey"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

func (n *Node) newRootKeys() *rootkey.Keeper {
	return &rootkey.Keeper{Root: n.root, DB: n.db, Node: n.cluster, Logger: n.log, Told: tellOfRootKey}
}

// tellOfRootKey writes the event into the transaction that wrapped everything anew.
func tellOfRootKey(tx *fsm.Tx, now string, former []string) error {
	return event.Append(tx, event.Event{
		Tenant: identity.DefaultTenant, Type: event.ClusterRootKeyRotated, Target: event.Target{Kind: "root_key", ID: now},
		Data: map[string]string{"former": strings.Join(former, " ")},
	})
}

package daemon

import (
	"slices"
	"time"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/federation/oidc/caller"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/alarm"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/session"
	decided "github.com/quis-idp/quis/identity/settings" // settings are the node's own here
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

// A setUp row says that the first-start setup has been done. A node is not ready
// before it has applied it.
type setUp struct {
	Done    time.Time `cbor:"1,keyasint,omitempty"`
	Version string    `cbor:"2,keyasint,omitempty"` // of the program that did it
	// Bootstrap tells the bootstrap file that was applied from others. It is a MAC
	// under the root key, because the file has passwords in it.
	Bootstrap []byte `cbor:"3,keyasint,omitempty"`
}

var setUps = fsm.NewTable(170, "setup", fsm.Spec[setUp]{Key: func(*setUp) fsm.Key { return fsm.K("setup") }})

// Tables are the definitions of every room: what a node's store is opened with.
func Tables() []fsm.Definition {
	return slices.Concat(
		seal.Tables,
		keys.Tables,
		event.Tables,
		directory.Tables,
		decided.Tables,
		pending.Tables,
		credential.Tables,
		passkey.Tables,
		session.Tables,
		impersonation.Tables,
		authn.Tables,
		notify.Tables,
		alarm.Tables,
		federation.Tables,
		register.Tables,
		family.Tables,
		caller.Tables,
		resource.Tables,
		consent.Tables,
		poll.Tables,
		device.Tables,
		ciba.Tables,
		logout.Tables,
		cluster.Tables,
		backup.Tables,
		[]fsm.Definition{setUps},
	)
}

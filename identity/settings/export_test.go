package settings

import (
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
)

// Changes are what the event of a change says.
func Changes(before, after Authentication) []event.Change {
	return event.Diff(before.fields(), after.fields())
}

// Store writes a as an older release did, whatever holds today.
func Store(tx *fsm.Tx, a Authentication) error { return table.Put(tx, &a) }

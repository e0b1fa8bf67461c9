package settings

import "github.com/quis-idp/quis/identity/event"

// Changes are what the event of a change says.
func Changes(before, after Authentication) []event.Change {
	return event.Diff(before.fields(), after.fields())
}

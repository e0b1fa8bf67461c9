package federation

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// tell appends the event that something happened to an application.
func tell(tx *fsm.Tx, a *Application, what event.Type, changes ...event.Change) error {
	return event.Append(tx, event.Event{
		Tenant: a.Tenant, Type: what, Changes: changes,
		Target: event.Target{Kind: "application", ID: a.ID, Name: a.DisplayName()},
		Data:   map[string]string{"client_id": a.ClientID},
	})
}

// diff returns which fields differ, named as they are in Go and written for a person.
func diff(old, now *Application) []event.Change {
	var changes []event.Change
	o, n := reflect.ValueOf(*old), reflect.ValueOf(*now)
	for i := range o.NumField() {
		name := o.Type().Field(i).Name
		if name == "Secrets" || name == "Updated" {
			continue
		}
		before, after := text(o.Field(i)), text(n.Field(i))
		if before != after {
			changes = append(changes, event.Change{Field: name, Before: before, After: after})
		}
	}
	return changes
}

func text(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, " ")
	}
	return fmt.Sprint(v.Interface())
}

// clone copies a deep enough that a change of the copy leaves a as it was.
func (a *Application) clone() *Application {
	c := *a
	for _, list := range []*[]string{&c.RedirectURIs, &c.PostLogoutURIs, &c.AllowedScopes, &c.GrantTypes} {
		*list = slices.Clone(*list)
	}
	c.Secrets = slices.Clone(c.Secrets)
	return &c
}

// expect checks the revision that a change is based on. One beyond this snapshot
// means that the snapshot is old, and is reported as a miss, so that Update
// catches up with the leader and asks again.
func expect(tx *fsm.Tx, want, have uint64) error {
	switch {
	case want == 0 || want == have:
		return nil
	case want > tx.Index():
		return fmt.Errorf("revision %d is ahead of this node: %w", want, fsm.ErrNotFound)
	default:
		return identity.Precondition("It has been changed by someone else in the meantime. Load it again.")
	}
}

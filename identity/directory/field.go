package directory

import "github.com/quis-idp/quis/fsm"

// A field is one attribute as a name and text, for the event of a change. Secrets are no fields.
type field = [2]string

func keyOf(k string) []fsm.Key {
	if k == "" {
		return nil
	}
	return []fsm.Key{fsm.K(k)}
}

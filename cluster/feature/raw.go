package feature

import (
	"time"

	"github.com/quis-idp/quis/fsm"
)

// ActiveNames returns the names of what is in use, sorted.
func ActiveNames(tx *fsm.Tx) ([]string, error) {
	var names []string
	for a, err := range activations.List(tx, fsm.Global) {
		if err != nil {
			return nil, err
		}
		names = append(names, a.Name)
	}
	return names, nil
}

// Activated returns an activation as a row for a stream that is about to be restored:
// the feature is in use with the very state that needs it.
func Activated(name, version string, now time.Time) (fsm.Raw, error) {
	return activations.Raw(&Activation{Name: name, Since: now, Version: version})
}

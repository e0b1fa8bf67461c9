package feature

import (
	"time"

	"github.com/quis-idp/quis/fsm"
)

// Activated returns an activation as a row for a stream that is about to be restored:
// the feature is in use with the very state that needs it.
func Activated(name, version string, now time.Time) (fsm.Raw, error) {
	return activations.Raw(&Activation{Name: name, Since: now, Version: version})
}

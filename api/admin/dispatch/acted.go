package dispatch

import "github.com/quis-idp/quis/identity"

// Acted is who did something that another administrator has to agree with.
type Acted struct {
	Kind string `json:"kind" enum:"user|operator" example:"user" doc:"A user, or the operator of the machine."`
	ID   string `json:"id,omitempty" doc:"usr_…, of a user."`
}

// SchemaName is its name in the document.
func (Acted) SchemaName() string { return "Acted" }

// ActedBy shows an actor.
func ActedBy(a identity.Actor) Acted { return Acted{string(a.Kind), a.ID} }

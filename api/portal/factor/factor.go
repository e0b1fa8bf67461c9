package factor

import (
	"context"

	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys/seal"
)

const securityPath = "/account/security"

// Config says what the pages work with.
type Config struct {
	DB   *fsm.DB
	Ring *seal.Ring
	// Use makes sure that every member of the cluster heeds second factors before there is
	// one; nil: they do.
	Use func(context.Context) error
}

// Sections are the cards of this room, in their order.
func Sections(cfg Config) []portal.Section {
	if cfg.Use == nil {
		cfg.Use = func(context.Context) error { return nil }
	}
	return []portal.Section{&apps{cfg}, &codes{cfg}, &devices{cfg}}
}

// standing is change if the user still stands: a row of nobody would never be deleted.
func standing(v *portal.Visitor, change func(tx *fsm.Tx, u *directory.User) error) func(*fsm.Tx) error {
	return func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, v.Tenant, v.UserID)
		if err != nil {
			return err
		}
		return change(tx, u)
	}
}

// Package totptest is an authenticator app for tests.
//
// Not here: anything that looks at how codes are made or taken.
package totptest

import (
	"encoding/base32"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/keys/seal"
)

// Add gives a user an app of that name, and returns its secret. The code of the present step
// is spent.
func Add(tx *fsm.Tx, ring *seal.Ring, tenant, user, name string) (app *totp.App, secret []byte, err error) {
	e, err := totp.Begin(tx, ring, tenant, user, totp.Label{Issuer: "quis", Account: "somebody"}, totp.Parameters{})
	if err != nil {
		return nil, nil, err
	}
	if secret, err = Secret(e.Secret.Reveal()); err != nil {
		return nil, nil, err
	}
	app, err = totp.Confirm(tx, ring, tenant, user, e.Token, totp.Parameters{}.Code(secret, tx.Now()), name)
	return app, secret, err
}

// Secret reads what a person is shown to type into an app.
func Secret(shown string) ([]byte, error) {
	return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(shown, " ", ""))
}

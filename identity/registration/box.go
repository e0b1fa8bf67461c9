package registration

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	pendingPurpose = "registration"
	provedPurpose  = "registration proved"
	maxBox         = 2 << 10 // bytes of text
)

// A pending registration waits for its code. Boxes of addresses that are taken are as long as
// the others, so nothing that tells them apart may be left out when it is empty.
type pending struct {
	Email   string    `cbor:"1,keyasint,omitempty"`
	Taken   bool      `cbor:"2,keyasint"`
	State   []byte    `cbor:"3,keyasint,omitempty"`
	Expires time.Time `cbor:"4,keyasint,omitempty"`
}

// mail is what the code is for.
func (p *pending) mail(tenant string) mailcode.For {
	f := mailcode.For{Tenant: tenant, UserID: newcomer, Purpose: "register " + strings.ToLower(p.Email)}
	if p.Taken {
		f.UserID = "" // nothing is ever right
	}
	return f
}

var text = base64.RawURLEncoding.Strict()

func (d *Desk) seal(purpose, tenant string, v any) (string, error) {
	plain, err := cbor.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("seal registration: %w", err)
	}
	box, err := d.ring.Seal(d.ring.Passing(purpose), plain, []byte(tenant))
	if err != nil {
		return "", fmt.Errorf("seal registration: %w", err)
	}
	return text.EncodeToString(box), nil
}

// look opens a box. One from before a backup was restored is dead: what it says may no longer
// be so.
func (d *Desk) look(ctx context.Context, purpose, tenant, sealed string, v any) error {
	if tenant == "" || len(sealed) > maxBox {
		return dead()
	}
	epoch := d.ring.Epoch()
	box, err := text.DecodeString(sealed)
	if err != nil {
		return dead()
	}
	plain, err := d.ring.Open(d.ring.Passing(purpose), box, []byte(tenant))
	if errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, seal.ErrSealed) {
		return fmt.Errorf("open registration: %w", err)
	}
	if err != nil || cbor.Unmarshal(plain, v) != nil {
		return dead()
	}
	err = d.db.View(ctx, func(tx *fsm.Tx) error { return seal.Check(tx, epoch) })
	if errors.Is(err, seal.ErrBox) {
		return dead()
	}
	return err
}

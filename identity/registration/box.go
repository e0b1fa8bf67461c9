package registration

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/note"
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
	ID      string    `cbor:"5,keyasint,omitempty"` // of the registration, however often it is proved; none if an older node made it
}

// mail is what the code is for.
func (p *pending) mail(tenant string) mailcode.For {
	f := mailcode.For{Tenant: tenant, UserID: newcomer, Purpose: "register " + strings.ToLower(p.Email)}
	if p.Taken {
		f.UserID = "" // nothing is ever right
	}
	return f
}

func (d *Desk) seal(purpose, tenant string, v any) (string, error) {
	return note.Seal(d.ring, d.ring.Passing(purpose), tenant, v)
}

// look opens a box. One from before a backup was restored is dead: what it says may no longer
// be so.
func (d *Desk) look(ctx context.Context, purpose, tenant, sealed string, v any) error {
	epoch := d.ring.Epoch()
	err := note.Open(d.ring, d.ring.Passing(purpose), tenant, sealed, maxBox, v)
	if errors.Is(err, seal.ErrBox) {
		return dead()
	}
	if err != nil {
		return err
	}
	err = d.db.View(ctx, func(tx *fsm.Tx) error { return seal.Check(tx, epoch) })
	if errors.Is(err, seal.ErrBox) {
		return dead()
	}
	return err
}

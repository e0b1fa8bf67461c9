package authn

import (
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/note"
)

// seal is what a step of f ends with: there is time for the next one from now on.
func (fs *Flows) seal(f *Flow) error {
	f.Expires = f.Begun.Add(min(fs.cfg.DB.Now().Sub(f.Begun)+lifetime, maxLifetime))
	if until := f.Need.Until; !until.IsZero() && until.Before(f.Expires) {
		f.Expires = until
	}
	epoch := fs.cfg.Ring.Epoch()
	text, err := note.Seal(fs.cfg.Ring, fs.cfg.Ring.Passing(flowPurpose), f.Need.Tenant, f)
	if err != nil {
		return fmt.Errorf("seal flow: %w", err)
	}
	if len(text) > maxSealed {
		return identity.Invalid("return_to", "is too long")
	}
	f.sealed, f.epoch = text, epoch
	return nil
}

func (fs *Flows) open(tenant, sealed string) (*Flow, error) {
	f := &Flow{sealed: sealed, epoch: fs.cfg.Ring.Epoch()}
	err := note.Open(fs.cfg.Ring, fs.cfg.Ring.Passing(flowPurpose), tenant, sealed, maxSealed, f)
	if errors.Is(err, seal.ErrBox) || err == nil && f.Need.Tenant != tenant {
		return nil, dead("it is incomplete or was made elsewhere")
	}
	if err != nil {
		return nil, fmt.Errorf("open flow: %w", err)
	}
	f.Begun = exact(f.Begun)
	return f, nil
}

// exact is a time of the store as it was sealed: what is read has a tenth of a microsecond less,
// or more, which would be before or after what was done at the same time.
func exact(t time.Time) time.Time { return t.Round(time.Millisecond).UTC() }

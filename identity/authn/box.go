package authn

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// flowText is how boxes travel: one value has one spelling.
var flowText = base64.RawURLEncoding.Strict()

var flowDecoder = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 64, MaxMapPairs: 64,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// flowEncoder keeps times to the microsecond: by default they are whole seconds, and what was
// begun after a sign-in of the same second would have been begun before it.
var flowEncoder = func() cbor.EncMode {
	m, err := cbor.EncOptions{Time: cbor.TimeUnixMicro}.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// sealValue seals v for a tenant and purpose as text.
func (fs *Flows) sealValue(purpose, tenant string, v any) (string, error) {
	plain, err := flowEncoder.Marshal(v)
	if err != nil {
		return "", err
	}
	box, err := fs.cfg.Ring.Seal(purpose, plain, []byte(tenant))
	if err != nil {
		return "", err
	}
	return flowText.EncodeToString(box), nil
}

// openValue is the inverse of sealValue. Anything but text that sealValue made is
// errBox, except that fsm.ErrUnavailable and seal.ErrSealed pass: then we cannot know.
func (fs *Flows) openValue(purpose, tenant, text string, v any) error {
	if tenant == "" || len(text) > maxSealed {
		return errBox
	}
	box, err := flowText.DecodeString(text)
	if err != nil {
		return errBox
	}
	plain, err := fs.cfg.Ring.Open(purpose, box, []byte(tenant))
	if errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, seal.ErrSealed) {
		return err
	}
	if err != nil || flowDecoder.Unmarshal(plain, v) != nil {
		return errBox
	}
	return nil
}

var errBox = errors.New("not sealed by us for this")

// seal is what a step of f ends with: there is time for the next one from now on.
func (fs *Flows) seal(f *Flow) error {
	f.Expires = f.Begun.Add(min(fs.cfg.DB.Now().Sub(f.Begun)+lifetime, maxLifetime))
	epoch := fs.cfg.Ring.Epoch()
	text, err := fs.sealValue(fs.cfg.Ring.Passing(flowPurpose), f.Need.Tenant, f)
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
	err := fs.openValue(fs.cfg.Ring.Passing(flowPurpose), tenant, sealed, f)
	if errors.Is(err, errBox) || err == nil && f.Need.Tenant != tenant {
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

package passkey

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

// A Bar is why a passkey that is registered signs nobody in any more; "": it does.
type Bar string

// The bars.
const (
	Copied Bar = "copied" // its sign count says that there is a copy of it
	Denied Bar = "denied" // its tenant denies its model, or allows only others
	Unsafe Bar = "unsafe" // the metadata in use report its model as revoked or broken

	// Unproved: its tenant allows its model, which the metadata in use describe, and nobody has vouched for
	// its being of that model. Whatever makes a passkey can claim any.
	Unproved Bar = "unproved"
)

// BarredField is the field of the identity.Error that Finish and Accept report of a passkey
// whose model is denied or unsafe: whoever reads it has proved that they hold the passkey.
const BarredField = "model"

// Barred says why a passkey signs nobody in where its tenant has decided p. It reads the store
// three times at most.
func Barred(tx *fsm.Tx, p settings.Passkey, k *Passkey) (Bar, error) {
	f := file{passkey: k}
	if err := f.judge(tx, p); err != nil {
		return "", err
	}
	var err error
	if f.bar == Unproved { // unless other metadata than it was judged by prove it
		_, err = f.attested()
	}
	return f.bar, err
}

// barred is Barred for whoever finishes a sign-in, and says whether the metadata are the same by
// which Finish judged: what it found in them is not looked up again then, unless only they say
// whether a model that is allowed has to be vouched for.
func (a *Assertion) barred(tx *fsm.Tx, k *Passkey) (bar Bar, same bool, err error) {
	s, _, err := settings.Get(tx, k.Tenant)
	if err != nil {
		return "", false, err
	}
	generation, err := inUse(tx, k)
	if err != nil {
		return "", false, err
	}
	same = generation == a.Judged
	attested := k.Attested || same && a.Attested
	var m *model
	if generation != 0 && (!same || !attested && len(s.Passkey.Allow) > 0) {
		m, err = modelIn(tx, generation, k)
	}
	return k.bar(s.Passkey, m, attested, tx.Now()), same, err
}

// bar judges a passkey of which the metadata say m; nil: nothing.
func (k *Passkey) bar(p settings.Passkey, m *model, attested bool, now time.Time) Bar {
	switch {
	case !k.Suspect.IsZero():
		return Copied
	case denies(p, k) || !allows(p, k):
		return Denied
	case m != nil && m.unsafe(now) != nil:
		return Unsafe
	case m != nil && !attested && len(p.Allow) > 0:
		return Unproved
	}
	return ""
}

func denies(p settings.Passkey, k *Passkey) bool { return names(p.Deny, k) }

func allows(p settings.Passkey, k *Passkey) bool { return len(p.Allow) == 0 || names(p.Allow, k) }

func names(aaguids []string, k *Passkey) bool {
	return slices.ContainsFunc(aaguids, func(s string) bool { return strings.EqualFold(s, k.Model()) })
}

// refusal is what whoever signs in with such a passkey is told; nil of the empty one.
func (b Bar) refusal() error {
	switch b {
	case Copied:
		return refuse(signingIn, sentenceSuspect, errors.New("suspected of having been copied"))
	case Denied:
		return refuseAs(barred(sentenceDenied), errors.New("its model is denied or not allowed"))
	case Unsafe:
		return refuseAs(barred(sentenceUnsafe), errors.New("its model is reported as unsafe"))
	case Unproved:
		return refuseAs(barred(sentenceUnproved), errors.New("its model is allowed, and nobody vouches for it"))
	}
	return nil
}

func barred(sentence string) *identity.Error {
	return &identity.Error{Kind: identity.ErrUnauthenticated, Field: BarredField, Detail: sentence}
}

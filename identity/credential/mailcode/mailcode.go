package mailcode

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// Lifetime is how long a code and its link are good for.
const Lifetime = 10 * time.Minute

const (
	digits     = 6
	tokenSize  = 16 // bytes of a link's token
	stateID    = 16
	maxState   = 1 << 10 // bytes
	maxGuess   = 64
	statePlace = "mail code"
	codePlace  = "mail code digits"
	linkPlace  = "mail code link"
)

// A For says what a code is for; what was made for one thing is wrong for any other.
type For struct {
	Tenant  string
	UserID  string // empty: nobody; then nothing is ever right
	Purpose string // a constant of the caller: sign-in, recovery, a new address (with that address)
}

// Means are which of the two count that a mail can have.
type Means struct{ Code, Link bool }

// A Sent is what is to be sent, and what to keep meanwhile.
type Sent struct {
	Code  string // six digits
	Token string // for a link: 22 characters, safe in URLs
	State []byte // sealed, about 150 bytes, as many for nobody: keep it in the flow
}

// A state is what State holds. Its numbers stay as long as the lifetime.
type state struct {
	ID      []byte    `cbor:"1,keyasint,omitempty"`
	Key     uint32    `cbor:"2,keyasint,omitempty"` // of the ring, that made the MACs
	Code    []byte    `cbor:"3,keyasint,omitempty"`
	Link    []byte    `cbor:"4,keyasint,omitempty"`
	Expires time.Time `cbor:"5,keyasint,omitempty"`
}

// Codes makes and checks codes on one node. It is safe for concurrent use.
type Codes struct {
	ring    *seal.Ring
	now     func() time.Time
	guesses guesses
}

// New returns Codes that seal with ring; now is the store's clock.
func New(ring *seal.Ring, now func() time.Time) *Codes {
	return &Codes{ring: ring, now: now, guesses: guesses{of: map[[stateID]byte]int{}}}
}

// New makes a code. It reports fsm.ErrUnavailable while there is nothing to seal with.
func (c *Codes) New(f For) (*Sent, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return nil, fmt.Errorf("make mail code: %w", err)
	}
	var token [tokenSize]byte
	rand.Read(token[:])
	s := &Sent{Code: fmt.Sprintf("%0*d", digits, n), Token: base64.RawURLEncoding.EncodeToString(token[:])}
	st := state{ID: make([]byte, stateID), Key: c.ring.CurrentKey(), Expires: c.now().Add(Lifetime)}
	rand.Read(st.ID)
	if st.Key == 0 {
		return nil, fmt.Errorf("make mail code: no sealing key yet: %w", fsm.ErrUnavailable)
	}
	if st.Code, err = c.mac(codePlace, &st, s.Code); err != nil {
		return nil, fmt.Errorf("make mail code: %w", err)
	}
	if st.Link, err = c.mac(linkPlace, &st, s.Token); err != nil {
		return nil, fmt.Errorf("make mail code: %w", err)
	}
	plain, err := cbor.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("make mail code: %w", err)
	}
	if s.State, err = c.ring.Seal(c.ring.Passing(statePlace), plain, f.context()); err != nil {
		return nil, fmt.Errorf("make mail code: %w", err)
	}
	return s, nil
}

// Check returns nil if guess is the code, however it is spaced, or the token that was made
// with sealed for f, and means has it. It reports identity.ErrUnauthenticated if not, if it is too late or if
// sealed is not one of ours, and identity.ErrLimited after five guesses on this node. Nobody guesses a
// token, so those are not counted, and one is good whatever was typed before.
func (c *Codes) Check(sealed []byte, f For, means Means, guess string) error {
	st, err := c.open(sealed, f)
	if err != nil {
		return err
	}
	guess = normal(guess)
	if !IsToken(guess) && !c.guesses.take([stateID]byte(st.ID)) {
		return identity.Limited("That code was tried too often. Ask for a new one.", 0)
	}
	// Both are computed and compared whatever guess looks like.
	code, err := c.mac(codePlace, st, guess)
	if err != nil {
		return fmt.Errorf("check mail code: %w", err)
	}
	link, err := c.mac(linkPlace, st, guess)
	if err != nil {
		return fmt.Errorf("check mail code: %w", err)
	}
	typed, followed := subtle.ConstantTimeCompare(code, st.Code) == 1, subtle.ConstantTimeCompare(link, st.Link) == 1
	if right := typed && means.Code || followed && means.Link; !right || f.UserID == "" {
		return wrong()
	}
	return nil
}

// IsToken reports whether guess can be nothing but the token of a link.
func IsToken(guess string) bool {
	return len(normal(guess)) == base64.RawURLEncoding.EncodedLen(tokenSize)
}

func wrong() error {
	return identity.Unauthenticated("That code is not right, or it is too old. Check it, or ask for a new one.")
}

func (c *Codes) open(sealed []byte, f For) (*state, error) {
	if len(sealed) > maxState {
		return nil, wrong()
	}
	plain, err := c.ring.Open(c.ring.Passing(statePlace), sealed, f.context())
	if errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, seal.ErrSealed) {
		return nil, fmt.Errorf("check mail code: %w", err)
	}
	var st state
	if err != nil || cbor.Unmarshal(plain, &st) != nil || len(st.ID) != stateID || !c.now().Before(st.Expires) {
		return nil, wrong()
	}
	return &st, nil
}

// context binds a state to what it is for, without being in it: a state of nobody is as
// long as any other. Lengths come first, so that no two run together.
func (f For) context() []byte {
	var b []byte
	for _, s := range []string{f.Tenant, f.UserID, f.Purpose} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

func (c *Codes) mac(place string, st *state, secret string) ([]byte, error) {
	sum, err := c.ring.MAC(place, st.Key, append(append([]byte{}, st.ID...), secret...))
	return sum[:], err
}

// normal takes out what people put between digits.
func normal(guess string) string {
	if len(guess) > maxGuess {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\u00a0' || r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, guess)
}

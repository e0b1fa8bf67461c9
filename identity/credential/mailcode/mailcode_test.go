package mailcode_test

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

// A clock can be moved.
type clock struct{ now time.Time }

func newCodes(t *testing.T) (*mailcode.Codes, *clock) {
	t.Helper()
	db := fsmtest.New(t, seal.Tables...)
	ring := sealtest.Ring(t, db)
	c := &clock{time.Date(2026, 11, 28, 22, 0, 0, 0, time.UTC)}
	return mailcode.New(ring, func() time.Time { return c.now }), c
}

var both = mailcode.Means{Code: true, Link: true}

var ada = mailcode.For{Tenant: "ten_default", UserID: "usr_ada", Purpose: "sign-in"}

func send(t *testing.T, c *mailcode.Codes, f mailcode.For) *mailcode.Sent {
	t.Helper()
	s, err := c.New(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCodeAndTokenAreRight(t *testing.T) {
	t.Parallel()
	c, _ := newCodes(t)
	s := send(t, c, ada)
	if !regexp.MustCompile(`^\d{6}$`).MatchString(s.Code) || len(s.Token) != 22 {
		t.Errorf("code %q, token %q", s.Code, s.Token)
	}
	for _, guess := range []string{s.Code, s.Code[:3] + " " + s.Code[3:] + "\n", s.Token} {
		if err := c.Check(s.State, ada, both, guess); err != nil {
			t.Errorf("%q: %v", guess, err)
		}
	}
	if bytes.Contains(s.State, []byte(s.Code)) || bytes.Contains(s.State, []byte(s.Token)) {
		t.Error("the state holds a secret in the clear")
	}
}

// What the letter did not have, or what counts no more, is as wrong as anything else.
func TestOneOfThemCounts(t *testing.T) {
	t.Parallel()
	c, _ := newCodes(t)
	for means, right := range map[mailcode.Means][2]bool{
		{}: {}, {Code: true}: {true, false}, {Link: true}: {false, true}, both: {true, true},
	} {
		s := send(t, c, ada)
		for i, guess := range []string{s.Code, s.Token} {
			err := c.Check(s.State, ada, means, guess)
			if (err == nil) != right[i] || err != nil && !errors.Is(err, identity.ErrUnauthenticated) {
				t.Errorf("%+v: %q: %v", means, guess, err)
			}
		}
	}
}

func TestWhatIsNotRight(t *testing.T) {
	t.Parallel()
	c, now := newCodes(t)
	another := func(change func(*mailcode.For)) mailcode.For { f := ada; change(&f); return f }
	for name, try := range map[string]func(s *mailcode.Sent) error{
		"another code":    func(s *mailcode.Sent) error { return c.Check(s.State, ada, both, send(t, c, ada).Code+"0") },
		"nothing":         func(s *mailcode.Sent) error { return c.Check(s.State, ada, both, "") },
		"far too long":    func(s *mailcode.Sent) error { return c.Check(s.State, ada, both, s.Code+string(make([]byte, 1000))) },
		"another's state": func(s *mailcode.Sent) error { return c.Check(send(t, c, ada).State, ada, both, s.Token) },
		"another user": func(s *mailcode.Sent) error {
			return c.Check(s.State, another(func(f *mailcode.For) { f.UserID = "usr_eve" }), both, s.Code)
		},
		"another tenant": func(s *mailcode.Sent) error {
			return c.Check(s.State, another(func(f *mailcode.For) { f.Tenant = "ten_x" }), both, s.Code)
		},
		"another purpose": func(s *mailcode.Sent) error {
			return c.Check(s.State, another(func(f *mailcode.For) { f.Purpose = "recovery" }), both, s.Code)
		},
		"no state":   func(s *mailcode.Sent) error { return c.Check(nil, ada, both, s.Code) },
		"cut state":  func(s *mailcode.Sent) error { return c.Check(s.State[:40], ada, both, s.Code) },
		"huge state": func(s *mailcode.Sent) error { return c.Check(make([]byte, 1<<20), ada, both, s.Code) },
	} {
		if err := try(send(t, c, ada)); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := send(t, c, ada)
	now.now = now.now.Add(mailcode.Lifetime)
	if err := c.Check(s.State, ada, both, s.Code); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("too late: %v", err)
	}
}

// TestNobodyLooksLikeSomebody: a state of nobody opens, has the same size, and nothing is right.
func TestNobodyLooksLikeSomebody(t *testing.T) {
	t.Parallel()
	c, _ := newCodes(t)
	nobody := ada
	nobody.UserID = ""
	s := send(t, c, nobody)
	if d := len(send(t, c, ada).State) - len(s.State); d != 0 {
		t.Errorf("states differ by %d bytes", d)
	}
	t.Logf("a state has %d bytes", len(s.State))
	for _, f := range []mailcode.For{nobody, ada} {
		if err := c.Check(s.State, f, both, s.Code); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("the code of nobody: %v", err)
		}
	}
}

func TestGuessesAreBounded(t *testing.T) {
	t.Parallel()
	c, _ := newCodes(t)
	s := send(t, c, ada)
	for range 5 {
		if err := c.Check(s.State, ada, both, "x"); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	if err := c.Check(s.State, ada, both, s.Code); !errors.Is(err, identity.ErrLimited) {
		t.Errorf("the sixth guess: %v", err)
	}
	for range 10 {
		if err := c.Check(s.State, ada, both, "AAAAAAAAAAAAAAAAAAAAAA"); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("a token that is wrong: %v", err)
		}
	}
	if err := c.Check(s.State, ada, both, s.Token); err != nil {
		t.Errorf("the link after all that: %v", err)
	}
	other := send(t, c, ada)
	if err := c.Check(other.State, ada, both, other.Code); err != nil {
		t.Errorf("another code is locked out with it: %v", err)
	}
}

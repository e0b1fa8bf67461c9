package note_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/note"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

type value struct {
	Name string    `cbor:"1,keyasint,omitempty"`
	At   time.Time `cbor:"2,keyasint,omitempty"`
}

func ring(t testing.TB) *seal.Ring {
	t.Helper()
	return sealtest.Ring(t, fsmtest.New(t, seal.Tables...))
}

// A note says what was sealed, to the microsecond, and nothing to anybody who asks for another purpose or tenant, cuts,
// adds or changes a character.
func TestNote(t *testing.T) {
	t.Parallel()
	r := ring(t)
	want := value{"ada", time.UnixMicro(1764000000123456).UTC()}
	text, err := note.Seal(r, "p", "ten_a", want)
	if err != nil {
		t.Fatal(err)
	}
	var got value
	if err := note.Open(r, "p", "ten_a", text, len(text), &got); err != nil || got.Name != want.Name || got.At.Sub(want.At).Abs() > time.Microsecond {
		t.Errorf("got %v, %v", got, err)
	}
	last := byte('A')
	if text[len(text)-1] == last {
		last = 'B'
	}
	for name, c := range map[string]struct {
		purpose, tenant, text string
		most                  int
	}{
		"another purpose": {"q", "ten_a", text, 1000}, "another tenant": {"p", "ten_b", text, 1000}, "no tenant": {"p", "", text, 1000},
		"too long": {"p", "ten_a", text, len(text) - 1}, "cut": {"p", "ten_a", text[:len(text)-4], 1000}, "longer": {"p", "ten_a", text + "AAAA", 1000},
		"changed": {"p", "ten_a", text[:len(text)-1] + string(last), 1000}, "empty": {"p", "ten_a", "", 1000}, "no text": {"p", "ten_a", "!!", 1000},
		"a line more": {"p", "ten_a", text + "\n", 1000},
	} {
		if err := note.Open(r, c.purpose, c.tenant, c.text, c.most, &got); !errors.Is(err, seal.ErrBox) {
			t.Errorf("%s: got %v, want ErrBox", name, err)
		}
	}
	if text, err = note.Seal(r, "p", "ten_a", []string{"another type"}); err != nil {
		t.Fatal(err)
	}
	if err := note.Open(r, "p", "ten_a", text, 1000, &got); !errors.Is(err, seal.ErrBox) {
		t.Errorf("a value of another type: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	r := ring(f)
	text, err := note.Seal(r, "p", "ten_a", value{Name: "ada"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(strings.ToUpper(text))
	f.Fuzz(func(t *testing.T, s string) {
		var v value
		if err := note.Open(r, "p", "ten_a", s, 4096, &v); (err == nil) != (s == text) || err != nil && !errors.Is(err, seal.ErrBox) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

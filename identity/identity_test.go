package identity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

func TestIDsSortByCreation(t *testing.T) {
	t.Parallel()
	var ids []string
	for range 10_000 {
		ids = append(ids, identity.NewID(identity.PrefixUser))
	}
	if !slices.IsSorted(ids) {
		t.Error("not sorted")
	}
	if len(slices.Compact(ids)) != 10_000 {
		t.Error("an ID was made twice")
	}
	made, err := identity.TimeOf(identity.PrefixUser, ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(made); age < -time.Minute || age > time.Minute {
		t.Errorf("says that it was made %v ago", age)
	}
}

func TestIDIsAUUIDv7(t *testing.T) {
	t.Parallel()
	id := identity.NewID("usr")
	if len(id) != len("usr_")+26 {
		t.Errorf("%s has %d characters", id, len(id))
	}
	u, err := identity.ParseID("usr", id)
	if err != nil {
		t.Fatal(err)
	}
	if u[6]>>4 != 7 || u[8]>>6 != 2 {
		t.Errorf("version %d, variant %b; want 7 and 10", u[6]>>4, u[8]>>6)
	}
	if got := identity.FormatID("usr", u); got != id {
		t.Errorf("got %s, want %s", got, id)
	}
}

func TestParseIDRefuses(t *testing.T) {
	t.Parallel()
	good := identity.NewID("usr")
	for _, id := range []string{
		"", "usr", "usr_", good + "0", good[:29], "grp" + good[3:], strings.ToUpper(good),
		"usr_8" + good[5:], "usr_" + strings.Repeat("u", 26), strings.Replace(good, "_", "-", 1),
	} {
		if identity.ValidID("usr", id) {
			t.Errorf("%q is taken for an ID", id)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(identity.NewID("usr"))
	f.Add("usr_7zzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := identity.ParseID("usr", s)
		if err == nil && identity.FormatID("usr", u) != s {
			t.Errorf("%q and %q are one ID", s, identity.FormatID("usr", u))
		}
	})
}

func TestSecretStaysIn(t *testing.T) {
	t.Parallel()
	const word = "xyzzy"
	s := identity.Secret(word)
	holder := struct{ Password identity.Secret }{s}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "secret", s, "in", holder)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "secret", s, "in", holder)
	j, err := json.Marshal(map[string]any{"a": s, "b": holder, "c": []identity.Secret{s}})
	if err != nil {
		t.Fatal(err)
	}
	out := log.String() + string(j)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s"} {
		out += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, holder) + fmt.Sprintf(verb, &holder) + fmt.Sprintf(verb, []identity.Secret{s})
	}
	for _, leak := range []string{word, fmt.Sprintf("%x", word), fmt.Sprintf("%X", word)} {
		if strings.Contains(out, leak) {
			t.Errorf("%q leaked", leak)
		}
	}
	if s.Reveal() != word {
		t.Error("Reveal does not reveal")
	}
	var back struct{ Password identity.Secret }
	if err := json.Unmarshal([]byte(`{"Password":"xyzzy"}`), &back); err != nil || back.Password.Reveal() != word {
		t.Errorf("read from JSON: %v", err)
	}
}

func TestErrorKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		kind error
		text string
	}{
		{identity.Invalid("email", "is bad"), identity.ErrInvalid, "invalid: email: is bad"},
		{identity.Denied("No."), identity.ErrDenied, "denied: No."},
		{identity.Unauthenticated(""), identity.ErrUnauthenticated, "not authenticated"},
		{identity.Limited("Wait.", time.Second), identity.ErrLimited, "limited: Wait."},
		{identity.Exists("name", "is taken"), fsm.ErrExists, "already exists: name: is taken"},
		{identity.NotFound("Gone."), fsm.ErrNotFound, "not found: Gone."},
		{identity.Precondition("Changed."), identity.ErrPrecondition, "precondition failed: Changed."},
	} {
		if !errors.Is(fmt.Errorf("create: %w", c.err), c.kind) {
			t.Errorf("%v is no %v", c.err, c.kind)
		}
		if c.err.Error() != c.text {
			t.Errorf("got %q, want %q", c.err, c.text)
		}
	}
	joined := fmt.Errorf("create: %w", errors.Join(identity.Invalid("a", "x"), errors.New("plain"), identity.Invalid("b", "y")))
	var fields []string
	for _, e := range identity.Errors(joined) {
		fields = append(fields, e.Field)
	}
	if diff := cmp.Diff([]string{"a", "b"}, fields); diff != "" {
		t.Error(diff)
	}
}

func TestActorOfContext(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	if k := identity.ActorFrom(ctx).Kind; k != identity.ActorSystem {
		t.Errorf("nobody asks: got %s, want system", k)
	}
	ctx = identity.WithRequest(ctx, identity.Request{ID: "r"})
	if k := identity.ActorFrom(ctx).Kind; k != identity.ActorAnonymous {
		t.Errorf("someone asks: got %s, want anonymous", k)
	}
	ctx = identity.WithActor(ctx, identity.Actor{Kind: identity.ActorUser, ID: "usr_x"})
	if a := identity.ActorFrom(ctx); a.ID != "usr_x" {
		t.Errorf("got %+v", a)
	}
	if ten := identity.TenantFrom(ctx); ten != (identity.Tenant{}) {
		t.Errorf("a tenant out of nowhere: %+v", ten)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain", 5, "plain"}, {"", 0, ""}, {"a\x00b\r\nc\u202ed\u2028e", 64, "a b  c d e"},
		{"\xff\xfe", 8, "  "}, {"ääää", 8, "ääää"}, {"ääääx", 8, "ää…"}, {"abc", 2, ""},
	} {
		if got := identity.Printable(c.in, c.limit); got != c.want {
			t.Errorf("Printable(%q, %d): got %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\xffb", 4)
	f.Add(strings.Repeat("é", 100), 9)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = min(max(limit, 0), 1000)
		got := identity.Printable(s, limit)
		if !utf8.ValidString(got) || len(got) > limit {
			t.Errorf("Printable(%q, %d): %q", s, limit, got)
		}
		if len(s) <= limit && utf8.ValidString(s) && len(got) > len(s) {
			t.Errorf("Printable(%q, %d) grew: %q", s, limit, got)
		}
	})
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "unknown", "x": "unknown",
	} {
		if got := (identity.Request{IP: in}).Network(); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestNeighbourhood(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.0/24", "::ffff:192.0.2.7": "192.0.2.0/24", "2001:db8:1:2:3::4": "2001:db8:1::/48",
		"fe80::1%eth0": "fe80::/48", "": "", "x": "",
	} {
		if got := (identity.Request{IP: in}).Neighbourhood(); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

package seal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

func both(t *testing.T, first, second *seal.RootKey) *seal.RootKey {
	t.Helper()
	k, err := seal.JoinRootKeys(first, second)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSeveralRootKeys(t *testing.T) {
	t.Parallel()
	a, b := seal.GenerateRootKey(), seal.GenerateRootKey()
	for name, text := range map[string]string{
		"lines": a.Encode() + "\n" + b.Encode() + "\n", "comments": "# in use\n" + a.Encode() + " # mine\n\n#x\r\n" + b.Encode(),
		"commas": a.Encode() + "," + b.Encode(), "twice": a.Encode() + "\n" + b.Encode() + "\n" + a.Encode(),
		"encoded": both(t, a, b).Encode(),
	} {
		k, err := seal.ParseRootKey(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff([]string{a.ID(), b.ID()}, k.IDs()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if k.Derive("x") != a.Derive("x") || k.ID() != a.ID() || !k.Knows(b.ID()) || k.Only(b.ID()).Derive("x") != b.Derive("x") || k.Only("none") != nil {
			t.Errorf("%s: not the first key's, or not the second", name)
		}
	}
	for _, text := range []string{"# only words\n", a.Encode() + "\nnonsense", strings.Repeat("x", 3)} {
		if _, err := seal.ParseRootKey(text); err == nil || strings.Contains(err.Error(), "nonsense") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	var many []*seal.RootKey
	for range 5 {
		many = append(many, seal.GenerateRootKey())
	}
	if _, err := seal.JoinRootKeys(many...); err == nil {
		t.Error("five root keys are too many")
	}
	box, err := b.Wrap([]byte("secret"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	ab := both(t, a, b)
	if got, err := ab.Unwrap(box, []byte("aad")); err != nil || string(got) != "secret" || ab.Opener(box, []byte("aad")) != b.ID() {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ab.Unwrap(box, []byte("other")); !errors.Is(err, seal.ErrBox) {
		t.Error(err)
	}
	again, news, err := ab.Rewrap(box, []byte("aad"))
	if err != nil || !news || a.Opener(again, []byte("aad")) != a.ID() {
		t.Errorf("%v, %v", news, err)
	}
	if _, news, err := ab.Rewrap(again, []byte("aad")); err != nil || news {
		t.Errorf("twice: %v, %v", news, err)
	}
}

func TestReplaceRootKeyFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "root.key")
	a, b := seal.GenerateRootKey(), seal.GenerateRootKey()
	if err := seal.ReplaceRootKey(file, a); err == nil {
		t.Error("there was nothing to replace")
	}
	if err := seal.SaveRootKey(file, a); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*seal.RootKey{both(t, a, b), b} {
		if err := seal.ReplaceRootKey(file, k); err != nil {
			t.Fatal(err)
		}
		got, err := seal.LoadRootKey(file, "")
		if err != nil || cmp.Diff(k.IDs(), got.IDs()) != "" {
			t.Errorf("%v, %v", got, err)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != b.Encode()+"\n" {
		t.Error("a single key must stand alone, for older releases")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// What was sealed before opens through every step, on a node at the step before and after.
func TestRewrapKeepsEveryBoxOpen(t *testing.T) {
	t.Parallel()
	c, rs, old := rings(t, 1)
	db, box := c.DB[0], mustSeal(t, rs[0], "x")
	now := seal.GenerateRootKey()
	opens := func(roots ...*seal.RootKey) {
		t.Helper()
		for _, w := range roots {
			r, err := seal.OpenRing(t.Context(), db, w)
			if err == nil {
				_, err = r.Open(purpose, box, []byte("aad"))
			}
			if err != nil {
				t.Errorf("with %v: %v", w.IDs(), err)
			}
		}
	}
	update := func(do func(tx *fsm.Tx) error) {
		t.Helper()
		if err := db.Update(t.Context(), do); err != nil {
			t.Fatal(err)
		}
	}
	opens(old, both(t, old, now), both(t, now, old))
	for i, want := range []bool{true, false} { // twice is once
		update(func(tx *fsm.Tx) error {
			news, err := seal.Rewrap(tx, both(t, now, old))
			if news != want {
				t.Errorf("run %d: news %v", i, news)
			}
			return err
		})
	}
	opens(old, both(t, old, now), both(t, now, old), now)
	update(func(tx *fsm.Tx) error {
		gone, err := seal.Forget(tx, both(t, now, old), []string{now.ID(), old.ID()})
		if len(gone) > 0 {
			t.Errorf("%v is gone, but still named", gone)
		}
		return err
	})
	update(func(tx *fsm.Tx) error {
		gone, err := seal.Forget(tx, now, []string{now.ID()})
		if cmp.Diff([]string{old.ID()}, gone) != "" {
			t.Errorf("%v is gone", gone)
		}
		return err
	})
	opens(now, both(t, now, old))
	if _, err := seal.OpenRing(t.Context(), db, old); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("the former root key still opens the ring: %v", err)
	}
}

package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quis-idp/quis/keys/seal"
)

// The accumulated vector of the C2SP specification takes many calls; these two single ones cover both halves of the nonce.
func TestXAESVectors(t *testing.T) {
	t.Parallel()
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	for _, c := range []struct {
		key       byte
		aad, want string
	}{
		{0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		key := [32]byte(bytes.Repeat([]byte{c.key}, 32))
		if got := seal.XAESSeal(key, nonce, []byte("XAES-256-GCM"), []byte(c.aad)); got != c.want {
			t.Errorf("key %02x: got %s, want %s", c.key, got, c.want)
		}
	}
}

func TestParseRootKey(t *testing.T) {
	t.Parallel()
	k := seal.GenerateRootKey()
	raw, err := hexBytes(k.Encode())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		k.Encode(), strings.ToUpper(k.Encode()), " \n" + k.Encode() + "\r\n",
		base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
	} {
		got, err := seal.ParseRootKey(text)
		if err != nil {
			t.Errorf("%d characters: %v", len(text), err)
		} else if got.ID() != k.ID() || got.Encode() != k.Encode() {
			t.Errorf("%d characters: another key came back", len(text))
		}
	}
	for _, text := range []string{
		"", "  ", k.Encode()[:62], k.Encode() + "00", "hunter2 is my key", strings.Repeat("0", 64),
		base64.StdEncoding.EncodeToString(raw[:16]), k.Encode()[:63] + "x",
	} {
		_, err := seal.ParseRootKey(text)
		if err == nil {
			t.Errorf("%q was taken for a root key", text)
		} else if s := strings.TrimSpace(text); s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("error repeats the key: %v", err)
		}
	}
}

func TestRootKeyRedactsItself(t *testing.T) {
	t.Parallel()
	k := seal.GenerateRootKey()
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "root_key", k)
	j, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %s", k, k, k), log.String(), string(j)} {
		if strings.Contains(s, k.Encode()[:12]) {
			t.Errorf("the key shows in %q", s)
		}
		if !strings.Contains(s, k.ID()) {
			t.Errorf("no fingerprint in %q", s)
		}
	}
}

func TestDeriveSeparatesPurposes(t *testing.T) {
	t.Parallel()
	k := seal.GenerateRootKey()
	again, err := seal.ParseRootKey(k.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if k.Derive("a") != again.Derive("a") || k.Derive("a") == k.Derive("b") || k.Derive("a") == seal.GenerateRootKey().Derive("a") {
		t.Error("derived keys must depend on key and purpose, and on nothing else")
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	k := seal.GenerateRootKey()
	box, err := k.Wrap([]byte("secret"), []byte("ctx"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Unwrap(box, []byte("ctx")); err != nil || string(got) != "secret" {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := k.Unwrap(box, []byte("other")); !errors.Is(err, seal.ErrBox) {
		t.Errorf("other context: %v", err)
	}
	if _, err := seal.GenerateRootKey().Unwrap(box, []byte("ctx")); !errors.Is(err, seal.ErrBox) {
		t.Errorf("other key: %v", err)
	}
	for i := range box {
		bad := bytes.Clone(box)
		bad[i] ^= 1
		if _, err := k.Unwrap(bad, []byte("ctx")); !errors.Is(err, seal.ErrBox) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := k.Unwrap(box[:i], []byte("ctx")); !errors.Is(err, seal.ErrBox) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestLoadRootKey(t *testing.T) {
	t.Parallel()
	k := seal.GenerateRootKey()
	file := filepath.Join(t.TempDir(), "root.key")
	if err := seal.SaveRootKey(file, k); err != nil {
		t.Fatal(err)
	}
	if err := seal.SaveRootKey(file, seal.GenerateRootKey()); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwrote a root key: %v", err)
	}
	if got, err := seal.LoadRootKey(file, ""); err != nil || got.ID() != k.ID() {
		t.Errorf("from file: %v", err)
	}
	if got, err := seal.LoadRootKey("", k.Encode()); err != nil || got.ID() != k.ID() {
		t.Errorf("from text: %v", err)
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file, text, want string }{
		{"both", file, k.Encode(), "twice"},
		{"neither", "", "", "QUIS_ROOT_KEY_FILE"},
		{"missing", file + ".no", "", "no such file"},
		{"directory", filepath.Dir(file), "", "directory"},
		{"large", large, "", "not a root key"},
	} {
		if _, err := seal.LoadRootKey(c.file, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not say %q", c.name, err, c.want)
		} else if strings.Contains(err.Error(), k.Encode()) {
			t.Errorf("%s: error repeats the key", c.name)
		}
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o440: true, 0o640: true, 0o644: false, 0o604: false, 0o660: false, 0o602: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.LoadRootKey(file, ""); (err == nil) != ok {
			t.Errorf("mode %04o: %v", mode, err)
		} else if err != nil && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %04o: %v does not say what to do", mode, err)
		}
	}
}

func FuzzParseRootKey(f *testing.F) {
	f.Add(seal.GenerateRootKey().Encode())
	f.Add("AAAA====")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := seal.ParseRootKey(text)
		if err != nil {
			return
		}
		again, err := seal.ParseRootKey(k.Encode())
		if err != nil || again.ID() != k.ID() {
			t.Errorf("%q does not survive Encode: %v", text, err)
		}
	})
}

func hexBytes(s string) ([]byte, error) {
	var b []byte
	_, err := fmt.Sscanf(s, "%x", &b)
	return b, err
}

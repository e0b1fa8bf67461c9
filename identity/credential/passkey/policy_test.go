package passkey_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/settings"
)

const aaguid = "00112233-4455-6677-8899-aabbccddeeff"

var model = [16]byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}

func TestRPID(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"https://id.example.com": "id.example.com", "https://ID.example.com:8443/t/b": "id.example.com",
		"http://localhost:8080": "localhost", "http://quis.localhost:8080": "quis.localhost",
	} {
		if got, err := passkey.RPID(issuer); got != want || err != nil {
			t.Errorf("%s: %q, %v", issuer, got, err)
		}
	}
	for issuer, word := range map[string]string{
		"https://192.0.2.1": "192.0.2.1", "https://[2001:db8::1]:8443": "2001:db8::1", "http://127.0.0.1:8080": "localhost",
		"http://id.example.com": "https", "": "public_url", "https://": "public_url",
	} {
		_, err := passkey.RPID(issuer)
		expect(t, issuer, err, identity.ErrInvalid)
		if err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v does not name %s", issuer, err, word)
		}
	}
}

func TestRelatedOrigins(t *testing.T) {
	t.Parallel()
	origins := func(names ...string) (all []string) {
		for _, n := range names {
			all = append(all, "https://"+n)
		}
		return all
	}
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("https://h%d.bb.test", i))
	}
	for what, c := range map[string]struct {
		related []string
		want    string
		all     bool
	}{
		"none":       {nil, "", true},
		"one":        {origins("b.example"), `["https://id.example.com","https://b.example"]`, true},
		"one name":   {origins("a.bb.test", "c.bb.test", "bb.example"), `["https://id.example.com","https://a.bb.test","https://c.bb.test","https://bb.example"]`, true},
		"five names": {origins("bb.test", "cc.test", "dd.test", "ee.test"), `["https://id.example.com","https://bb.test","https://cc.test","https://dd.test","https://ee.test"]`, true},
		"a sixth":    {origins("bb.test", "cc.test", "dd.test", "ee.test", "ff.test", "www.bb.test"), `["https://id.example.com","https://bb.test","https://cc.test","https://dd.test","https://ee.test","https://www.bb.test"]`, false},
		"too many":   {many, `["https://id.example.com","` + strings.Join(many[:200], `","`) + `"]`, false},
		"our own":    {origins("id.example.com"), `["https://id.example.com"]`, true},
	} {
		if c.want != "" {
			c.want = `{"origins":` + c.want + `}`
		}
		if doc, err := passkey.RelatedOrigins(home.Issuer, c.related); err != nil || string(doc) != c.want {
			t.Errorf("%s: %s, %v; want %s", what, doc, err, c.want)
		}
		err := passkey.CheckRelated(home.Issuer, c.related)
		if c.all && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !c.all {
			expect(t, what, err, identity.ErrInvalid)
		}
	}
}

func TestRelatedOriginSignsIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := phone()
	h.register(home, alice, a)
	a.Origin = "https://login.example.net"
	_, err := h.signIn(home, "", a)
	expect(t, "unrelated", err, identity.ErrUnauthenticated)
	h.policy.RelatedOrigins = []string{a.Origin}
	if _, err := h.signIn(home, "", a); err != nil {
		t.Error(err)
	}
}

func newFIDO(t *testing.T) *passkeytest.FIDO {
	t.Helper()
	f, err := passkeytest.NewFIDO()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newMaker(t *testing.T) *passkeytest.Maker {
	t.Helper()
	m, err := passkeytest.NewMaker()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (h *house) imports(f *passkeytest.FIDO, number int, models ...passkeytest.Model) error {
	h.t.Helper()
	blob, err := f.Blob(number, time.Now().AddDate(0, 1, 0), models...)
	if err != nil {
		h.t.Fatal(err)
	}
	m, err := passkey.ParseMetadata(blob, f.Roots, time.Now())
	if err != nil {
		return err
	}
	return m.Import(h.t.Context(), h.DB[0])
}

func TestAttestationPolicy(t *testing.T) {
	t.Parallel()
	h, fido, maker := newHouse(t, 1), newFIDO(t), newMaker(t)
	certificate, err := maker.CertificateID()
	if err != nil {
		t.Fatal(err)
	}
	models := []passkeytest.Model{
		{AAGUID: aaguid, Description: "Key One", Roots: maker.Roots()}, {CertificateID: certificate, Description: "Old Key", Roots: maker.Roots()},
	}
	if err := h.imports(fido, 1, models...); err != nil {
		t.Fatal(err)
	}
	key := func(format string, m *passkeytest.Maker) *passkeytest.Authenticator {
		a := phone()
		a.Format, a.Maker, a.AAGUID = format, m, model
		if format == passkeytest.U2F {
			a.UV, a.AAGUID = false, [16]byte{}
		}
		return a
	}
	for _, c := range []struct {
		name          string
		a             *passkeytest.Authenticator
		attested      bool
		kind, foundAs string
	}{
		{"packed", key(passkeytest.Packed, maker), true, "basic_full", "Key One"},
		{"u2f", key(passkeytest.U2F, maker), true, "basic_full", "Old Key"},
		{"self", key(passkeytest.Self, nil), false, "basic_surrogate", "Key One"},
		{"none", key(passkeytest.None, nil), false, "none", "Key One"},
		{"an impostor", key(passkeytest.Packed, newMaker(t)), false, "basic_full", "Key One"},
		{"an old impostor", key(passkeytest.U2F, newMaker(t)), false, "basic_full", ""},
	} {
		h.policy = settings.Passkey{Attestation: "direct"}
		k := h.register(home, alice, c.a)
		if k.Attested != c.attested || k.AttestationType != c.kind || k.Make != c.foundAs {
			t.Errorf("%s: attested %v, type %s, make %q", c.name, k.Attested, k.AttestationType, k.Make)
		}
		if got, err := h.signIn(home, alice.ID, c.a); err != nil || got.Attested != c.attested {
			t.Errorf("%s signs in: %+v, %v", c.name, got, err)
		}
		h.policy.RequireAttested = true
		c.a.Keys = nil
		_, err := h.tryRegister(home, bob, c.a)
		if (err == nil) != c.attested {
			t.Errorf("%s, attestation required: %v", c.name, err)
		}
	}
	attested := key(passkeytest.Packed, maker)
	h.policy = settings.Passkey{Attestation: "direct"}
	h.register(home, bob, attested)
	for what, p := range map[string]settings.Passkey{
		"denied":      {Deny: []string{strings.ToUpper(aaguid)}},
		"not allowed": {Allow: []string{"00112233-4455-6677-8899-aabbccddee00"}},
	} {
		h.policy = p
		_, err := h.tryRegister(home, alice, key(passkeytest.Packed, maker))
		expect(t, what, err, identity.ErrInvalid)
	}
	h.policy = settings.Passkey{Allow: []string{aaguid}}
	_, err = h.tryRegister(home, alice, phone()) // does not say what it is
	expect(t, "unknown make", err, identity.ErrInvalid)
	h.policy = settings.Passkey{ForbidSynced: true}
	synced := phone()
	synced.Synced = true
	_, err = h.tryRegister(home, alice, synced)
	expect(t, "synced", err, identity.ErrInvalid)

	// Not described any more: not attested for now.
	if err := h.imports(fido, 2, models[1]); err != nil {
		t.Fatal(err)
	}
	if got, err := h.signIn(home, "", attested); err != nil || got.Attested {
		t.Errorf("described no more: %+v, %v", got, err)
	}
}

// Hardware protects a passkey's key only where its maker vouches for it and says so; other metadata may say it
// later, or no more.
func TestHardware(t *testing.T) {
	t.Parallel()
	h, fido, maker := newHouse(t, 1), newFIDO(t), newMaker(t)
	h.policy.Attestation = "direct"
	imports := func(number int, protection []string) {
		t.Helper()
		if err := h.imports(fido, number, passkeytest.Model{AAGUID: aaguid, Description: "Key One", Roots: maker.Roots(), Protection: protection}); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		protection []string
		hardware   bool
	}{
		{[]string{}, false},
		{[]string{"software"}, false},
		{[]string{"remote_handle"}, false},
		{[]string{"hardware", "software"}, false},
		{[]string{"hardware"}, true},
		{[]string{"hardware", "tee"}, true},
		{[]string{"tee", "remote_handle"}, true},
		{[]string{"secure_element"}, true},
	} {
		imports(10*i+1, c.protection)
		a := keyOf(maker)
		k := h.register(home, alice, a)
		if !k.Attested || k.InHardware(true) != c.hardware {
			t.Errorf("%v: registered as attested %v, hardware %v", c.protection, k.Attested, k.InHardware(true))
		}
		holds := func(want bool) {
			t.Helper()
			got, err := h.signIn(home, alice.ID, a)
			if stored := h.stored(k); err != nil || !got.Attested || got.Hardware != want || stored.InHardware(true) != want {
				t.Errorf("%v: signs in as %+v, kept as hardware %v, %v", c.protection, got, stored.InHardware(true), err)
			}
		}
		holds(c.hardware)
		imports(10*i+2, []string{"hardware"})
		holds(true)
		imports(10*i+3, []string{"software"})
		holds(false)
	}
	impostor := keyOf(newMaker(t))
	imports(100, nil)
	k := h.register(home, bob, impostor)
	if got, err := h.signIn(home, bob.ID, impostor); err != nil || k.InHardware(true) || got.Hardware {
		t.Errorf("what nobody vouches for: %+v, %v", got, err)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	h, fido, maker := newHouse(t, 2), newFIDO(t), newMaker(t)
	now, next := time.Now(), time.Now().AddDate(0, 1, 0)
	one := passkeytest.Model{AAGUID: aaguid, Description: "Key One", Roots: maker.Roots()}
	good, err := fido.Blob(7, next, one)
	if err != nil {
		t.Fatal(err)
	}
	wrongHost := newFIDO(t)
	wrongHost.Host = "mds.example.com"
	elsewhere, err := wrongHost.Blob(7, next, one)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := fido.Blob(7, next)
	if err != nil {
		t.Fatal(err)
	}
	changed := []byte(strings.Replace(string(good), ".", ".e", 1))
	for what, try := range map[string]func() error{
		"nothing":         func() error { _, err := passkey.ParseMetadata(nil, fido.Roots, now); return err },
		"HTML":            func() error { _, err := passkey.ParseMetadata([]byte("<html>"), fido.Roots, now); return err },
		"three dots":      func() error { _, err := passkey.ParseMetadata([]byte("a.b.c"), fido.Roots, now); return err },
		"changed":         func() error { _, err := passkey.ParseMetadata(changed, fido.Roots, now); return err },
		"cut off":         func() error { _, err := passkey.ParseMetadata(good[:len(good)-9], fido.Roots, now); return err },
		"another's":       func() error { _, err := passkey.ParseMetadata(good, newFIDO(t).Roots, now); return err },
		"another host's":  func() error { _, err := passkey.ParseMetadata(elsewhere, wrongHost.Roots, now); return err },
		"expired":         func() error { _, err := passkey.ParseMetadata(good, fido.Roots, now.AddDate(1, 0, 0)); return err },
		"without entries": func() error { _, err := passkey.ParseMetadata(empty, fido.Roots, now); return err },
	} {
		expect(t, what, try(), identity.ErrInvalid)
	}
	if roots, err := passkey.FIDORoots(); err != nil {
		t.Error(err)
	} else if _, err := passkey.ParseMetadata(good, roots, now); err == nil {
		t.Error("FIDO's root vouches for us")
	}

	var many []passkeytest.Model
	for i := range 500 {
		many = append(many, passkeytest.Model{AAGUID: strings.Replace(aaguid, "00112233", hex8(i), 1), Description: "A key", Roots: maker.Roots(), Padding: 3000})
	}
	before := h.Entries()
	if err := h.imports(fido, 8, many...); err != nil {
		t.Fatal(err)
	}
	t.Logf("500 models took %d entries", h.Entries()-before)
	current := func(node int) (m *passkey.Metadata) {
		err := h.DB[node].View(t.Context(), func(tx *fsm.Tx) (err error) { m, err = passkey.CurrentMetadata(tx); return err })
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := current(1); m.Number != 8 || m.Models != 500 || m.Imported.IsZero() || len(m.SHA256) != 32 {
		t.Errorf("status %+v", m)
	}
	expect(t, "older", h.imports(fido, 7, one), identity.ErrInvalid)
	if err := h.imports(fido, 8, one); err != nil {
		t.Errorf("the same number again: %v", err)
	}
	if m := current(0); m.Models != 1 {
		t.Errorf("status %+v", m)
	}
	if n := passkey.MetadataRows(t, h.DB[0]); n != 2 {
		t.Errorf("%d rows are left, want the head and one model", n)
	}
	if diff := cmp.Diff([]string{"passkey.metadata_imported", "passkey.metadata_imported"}, h.news(identity.DefaultTenant)); diff != "" {
		t.Error(diff)
	}
}

func hex8(i int) string {
	const digits = "0123456789abcdef"
	b := []byte("0011000000")[:8]
	for p := 7; p > 3; p-- {
		b[p] = digits[i&15]
		i >>= 4
	}
	return string(b)
}

// TestInHardware: a passkey that an older release has judged may turn out to be in hardware, and is not known to be: it is
// offered where that is asked for, and counts for it once it has signed in.
func TestInHardware(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, c := range []struct {
		k         passkey.Passkey
		sure, may bool
	}{
		{passkey.Passkey{}, false, false},
		{passkey.Passkey{Attested: true}, false, true},
		{passkey.Passkey{Attested: true, Hardware: &no}, false, false},
		{passkey.Passkey{Attested: true, Hardware: &yes}, true, true},
	} {
		if c.k.InHardware(true) != c.sure || c.k.InHardware(false) != c.may {
			t.Errorf("%+v: %v, %v", c.k, c.k.InHardware(true), c.k.InHardware(false))
		}
	}
}

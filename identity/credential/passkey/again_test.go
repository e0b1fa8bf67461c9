package passkey_test

import (
	"testing"

	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
)

// Passkeys that are older than the metadata become attested by what was kept of them when they
// sign in, on whatever node; what does not hold is not believed, until metadata say so.
func TestAttestedByLaterMetadata(t *testing.T) {
	t.Parallel()
	h, fido, maker, impostor := newHouse(t, 2), newFIDO(t), newMaker(t), newMaker(t)
	certificate, err := maker.CertificateID()
	if err != nil {
		t.Fatal(err)
	}
	h.policy.Attestation = "direct"
	u2f := phone()
	u2f.Format, u2f.Maker, u2f.UV = passkeytest.U2F, maker, false
	self, none := phone(), phone()
	self.Format, self.AAGUID, none.AAGUID = passkeytest.Self, model, model
	one := passkeytest.Model{AAGUID: aaguid, Description: "Key One", Roots: maker.Roots()}
	old := passkeytest.Model{CertificateID: certificate, Description: "Old Key", Roots: maker.Roots()}
	cases := []struct {
		name     string
		a        *passkeytest.Authenticator
		attested bool
		makes    string
	}{
		{"packed", keyOf(maker), true, "Key One"}, {"u2f", u2f, true, "Old Key"}, {"self", self, false, "Key One"},
		{"none", none, false, "Key One"}, {"an impostor", keyOf(impostor), false, "Key One"}, {"silent", phone(), false, ""},
	}
	for i, c := range cases {
		k := h.register(home, alice, c.a)
		if got, err := h.signIn(home, alice.ID, c.a); err != nil || got.Attested || k.Make != "" {
			t.Errorf("%s, before: %+v, %v", c.name, got, err)
		}
		if err := h.imports(fido, 2*i+1, one, old); err != nil {
			t.Fatal(err)
		}
		for range 2 { // it is verified at the first, and kept
			got, err := h.assert(1, home, alice.ID, c.a)
			if err != nil || got.Attested != c.attested {
				t.Errorf("%s: %+v, %v", c.name, got, err)
			}
			if err := h.accept(1, got); err != nil {
				t.Error(err)
			}
			if k = h.stored(k); k.Attested != c.attested || k.Make != c.makes {
				t.Errorf("%s is kept as attested %v, make %q", c.name, k.Attested, k.Make)
			}
		}
		if err := h.imports(fido, 2*i+2, passkeytest.Model{AAGUID: anotherModel, Description: "Another"}); err != nil {
			t.Fatal(err)
		}
	}
	both := one
	both.Roots = append(impostor.Roots(), maker.Roots()...)
	if err := h.imports(fido, 99, both); err != nil {
		t.Fatal(err)
	}
	if got, err := h.signIn(home, alice.ID, cases[4].a); err != nil || !got.Attested {
		t.Errorf("its maker is known by now: %+v, %v", got, err)
	}
}

// What was found by metadata that are replaced before the sign-in ends is not kept.
func TestAttestedByMetadataOfBefore(t *testing.T) {
	t.Parallel()
	h, fido, maker := newHouse(t, 1), newFIDO(t), newMaker(t)
	a := keyOf(maker)
	k := h.register(home, alice, a)
	if err := h.imports(fido, 1, passkeytest.Model{AAGUID: aaguid, Description: "Key One", Roots: maker.Roots()}); err != nil {
		t.Fatal(err)
	}
	got, err := h.assert(0, home, "", a)
	if err != nil || !got.Attested {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := h.imports(fido, 2, passkeytest.Model{AAGUID: aaguid, Description: "Key One", Roots: newMaker(t).Roots()}); err != nil {
		t.Fatal(err)
	}
	if err := h.accept(0, got); err != nil {
		t.Fatal(err)
	}
	if stored := h.stored(k); stored.Attested {
		t.Error("kept as attested by metadata that are in use no more")
	}
	if got, err := h.signIn(home, "", a); err != nil || got.Attested {
		t.Errorf("%+v, %v", got, err)
	}
}

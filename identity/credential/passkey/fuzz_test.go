package passkey_test

import (
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
)

// Whatever a stranger sends in the place of a response is an error of a kind that a person can
// be told, and never a panic or a passkey.
func FuzzResponse(f *testing.F) {
	h := newHouse(f, 1)
	maker, err := passkeytest.NewMaker()
	if err != nil {
		f.Fatal(err)
	}
	var sessions [][]byte
	for _, format := range []string{passkeytest.None, passkeytest.Packed, passkeytest.Self, passkeytest.U2F} {
		a := phone()
		a.Format, a.Maker = format, maker
		session, response := h.begun(home, alice, a)
		sessions = append(sessions, session)
		f.Add(response)
		options, _ := h.options(home, "")
		if response, err = a.Get(options); err != nil {
			f.Fatal(err)
		}
		f.Add(response)
	}
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"oA"}}`))
	_, signIn := h.options(home, "")
	f.Fuzz(func(t *testing.T, response []byte) {
		for _, session := range sessions {
			err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
				_, err := passkey.Register(tx, home, h.policy, alice.ID, session, response, "")
				return err
			})
			if err != nil && !errors.Is(err, identity.ErrInvalid) && !errors.Is(err, fsm.ErrExists) && !readOnly(err) {
				t.Errorf("register: %v", err)
			}
		}
		if _, err := passkey.Finish(t.Context(), h.DB[0], home.ID, signIn, response, ""); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("finish: %v", err)
		}
	})
}

// readOnly reports that a transaction would have written: the response was a good one.
func readOnly(err error) bool { return len(identity.Errors(err)) == 0 }

// FuzzSession: the bytes that come back from the caller's flow.
func FuzzSession(f *testing.F) {
	h := newHouse(f, 1)
	a := phone()
	h.register(home, alice, a)
	options, session := h.options(home, "")
	response, err := a.Get(options)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(session)
	f.Fuzz(func(t *testing.T, session []byte) {
		_, err := passkey.Finish(t.Context(), h.DB[0], home.ID, session, response, "")
		if err != nil && !errors.Is(err, identity.ErrUnauthenticated) {
			t.Error(err)
		}
	})
}

// FuzzMetadata: what an operator imports.
func FuzzMetadata(f *testing.F) {
	fido, err := passkeytest.NewFIDO()
	if err != nil {
		f.Fatal(err)
	}
	blob, err := fido.Blob(1, time.Now().AddDate(0, 1, 0), passkeytest.Model{AAGUID: aaguid, Description: "A key"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob)
	f.Fuzz(func(t *testing.T, blob []byte) {
		if _, err := passkey.ParseMetadata(blob, fido.Roots, time.Now()); err != nil && !errors.Is(err, identity.ErrInvalid) {
			t.Error(err)
		}
	})
}

func BenchmarkFinish(b *testing.B) {
	for name, a := range map[string]*passkeytest.Authenticator{
		"ES256": {}, "EdDSA": {Alg: passkeytest.EdDSA}, "RS256": {Alg: passkeytest.RS256},
	} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b, 1)
			a.Origin, a.UV = origin, true
			h.register(home, alice, a)
			options, session := h.options(home, "")
			response, err := a.Get(options)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := passkey.Finish(b.Context(), h.DB[0], home.ID, session, response, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBegin(b *testing.B) {
	h := newHouse(b, 1)
	for b.Loop() {
		h.options(home, "")
	}
}

package browser

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/api/login/related"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// TestAPasskeyIsUsedAtARelatedOrigin: a passkey that was made at the house signs in at another name
// that its tenant lists, since the browser has read the list at the house (/.well-known/webauthn),
// and can be made there, too; at a name that is not listed the browser refuses to ask for it.
func TestAPasskeyIsUsedAtARelatedOrigin(t *testing.T) {
	t.Parallel()
	const own, listed, foreign = "https://id.example.com", "https://login.example.org", "https://id.example.net"
	mux, h := passkeyRooms(t, own)
	related.New(h.db, own).Routes(mux)
	a := settings.Default(h.tenant.ID)
	a.Passkey.RelatedOrigins = []string{listed}
	h.policy = a.Passkey
	if err := h.db.Update(t.Context(), func(tx *fsm.Tx) error { return errors.Join(directory.EnsureDefault(tx), settings.Put(tx, 0, a)) }); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	key := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	b := browserWith(t, []chromedp.ExecAllocatorOption{
		chromedp.Flag("host-resolver-rules", "MAP * "+s.Listener.Addr().String()), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(key[:])), // and no other: passkeys want a certificate without errors
	}, "/usr/bin/chromium-headless-shell")
	if _, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	id := newAuthenticator(b, phone)
	b.visit(own+"/create", true)
	b.says("#said", "registered")
	for _, at := range []string{own, listed} {
		b.visit(at+"/get", true)
		b.says("#said", "signed in usr_alice")
	}
	b.visit(foreign+"/get", true)
	b.says("[data-fault]", "It failed.")
	if _, err := chromedp.Call(b.ctx, webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: id}); err != nil {
		t.Fatal(err)
	}
	h.forget()
	b.visit(listed+"/create", true)
	b.says("#said", "registered")
	b.visit(own+"/get", true)
	b.says("#said", "signed in usr_alice")
	b.expectNoProblems()
}

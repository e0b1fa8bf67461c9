package admin_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
)

const authenticationAt = "/api/v1/settings/authentication"

// governed expects that a change of the settings is refused, naming the field, as it would shut all administrators out.
func (h *house) governed(rule, field string) {
	h.t.Helper()
	if p := h.want(400, h.root, "PATCH", authenticationAt, rule); !strings.Contains(p.Detail, field+" would leave no administrator a way to sign in") {
		h.t.Errorf("%s: %+v", rule, p)
	}
}

// An administrator cannot switch off the last way to sign in that all administrators have.
func TestNoWayIsSwitchedOffThatLetsTheLastAdministratorIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const noPasswords, noPasskeys = `{"allow_password_login":false,"allow_forgot_password":false}`, `{"allow_passkey_login":false}`
	h.want(200, h.root, "PATCH", authenticationAt, noPasswords) // nobody gets in as it is: nothing is taken away
	h.want(200, h.root, "PATCH", authenticationAt, `{"allow_password_login":true}`)
	boss, _ := h.person(identity.DefaultTenant, "boss", true)
	h.passkey(boss, &passkeytest.Authenticator{UV: true}, "key")
	h.governed(noPasskeys, "allow_passkey_login")
	h.givePassword(h.rootUser)
	h.want(200, h.root, "PATCH", authenticationAt, noPasskeys)
	h.governed(noPasswords[:len(noPasswords)-1]+`,"allow_passkey_login":true,"passkey":{"deny_aaguids":["00000000-0000-0000-0000-000000000000"]}}`, "passkey/deny_aaguids")
	h.want(200, h.root, "PATCH", authenticationAt, `{"allow_passkey_login":true}`)
	h.want(200, h.root, "PATCH", authenticationAt, noPasswords)

	c := h.client(h.root)
	h.said("POST", "/api/v1/users", `{"username":"mailed","email":"mailed@example.com","email_verified":true,"admin":true}`)
	h.want(200, h.root, "PATCH", authenticationAt, `{"allow_email_otp":true}`)
	h.must(c.Users.Delete(t.Context(), boss))
	h.governed(`{"allow_email_otp":false}`, "allow_email_otp")
	h.want(200, h.root, "PATCH", authenticationAt, `{"allow_email_otp":false,"allow_magic_link":true}`)
	h.governed(`{"allow_magic_link":false}`, "allow_magic_link")
	h.want(200, h.root, "PATCH", authenticationAt, `{"allow_magic_link":false,"allow_password_login":true}`)
}

// A certificate that is good is a way in, for what its authority declares; and its authority is not
// forgotten while it is the only one.
func TestACertificateKeepsAnAdministratorIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(h.root)
	ca := certificatetest.New(t, "Employees", nil)
	pem, err := json.Marshal(ca.PEM())
	h.must(err)
	made := h.said("POST", "/api/v1/certificate-authorities", `{"name":"Employees","rules":["added"],"certificate":`+string(pem)+`}`)["id"].(string)
	h.givePassword(h.rootUser)
	const noPasswords = `{"allow_password_login":false,"allow_forgot_password":false}`
	h.governed(noPasswords, "allow_password_login")
	cert := ca.Person(t, "root").Leaf
	_, err = c.Users.AddCertificate(t.Context(), h.rootUser, client.NewUserCertificate{Certificate: certificatetest.PEM(cert)})
	h.must(err)
	h.want(200, h.root, "PATCH", authenticationAt, noPasswords)
	at := "/api/v1/certificate-authorities/" + made
	refused := func(method, body string) {
		t.Helper()
		if p := h.want(409, h.root, method, at, body); !strings.Contains(p.Detail, "leave no administrator a way to sign in") {
			t.Errorf("%s %s: %+v", method, body, p)
		}
	}
	h.want(200, h.root, "PATCH", at, `{"name":"People","rules":["added","email=email"]}`)
	refused("PATCH", `{"rules":["email=email"]}`)
	refused("DELETE", "")

	boss, _ := h.person(identity.DefaultTenant, "boss", true)
	h.givePassword(boss)
	h.want(200, h.root, "PATCH", authenticationAt, `{"allow_password_login":true}`)
	h.want(200, h.root, "PATCH", authenticationAt, noPasswords)
	h.want(200, h.root, "PATCH", authenticationAt, `{"allow_password_login":true}`)
	_, err = c.UploadRevocationList(t.Context(), made, bytes.NewReader(ca.List(t, 1, []*x509.Certificate{cert}).Raw))
	h.must(err)
	h.governed(noPasswords, "allow_password_login") // it was revoked
	h.want(204, h.root, "DELETE", at, "")
}

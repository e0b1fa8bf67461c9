package admin_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
)

// TestCertificateAuthorities goes through the life of an authority, by the API and the client.
func TestCertificateAuthorities(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(h.root)
	ca := certificatetest.New(t, "Employees", nil)
	const at = "/api/v1/certificate-authorities"
	body := func(m map[string]any) string {
		b, err := json.Marshal(m)
		h.must(err)
		return string(b)
	}
	made := h.said("POST", at, body(map[string]any{"name": "Employees", "certificate": ca.PEM(), "rules": []string{"upn=username@example.com", "added"}}))
	if made["key"] != "software" || made["revocation"] != "required" || made["ask"] != true || made["subject"] != "CN=Employees,O=Example" || made["certificate"] != ca.PEM() {
		t.Errorf("%v", made)
	}
	one := at + "/" + made["id"].(string)
	got := h.said("PATCH", one, `{"key":"smart_card","rules":["email=email"]}`)
	if rules := got["rules"].([]any); len(rules) != 1 || rules[0] != "email=email" || got["key"] != "smart_card" || got["name"] != "Employees" {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{`{"rules":["email"]}`, `{"rules":["email=phone"]}`, `{"key":"pocket"}`, `{"crl_url":"ldap://x/"}`, `{"certificate":"x"}`} {
		h.want(400, h.root, "PATCH", one, bad)
	}
	h.want(400, h.root, "POST", at, body(map[string]any{"name": "x", "certificate": certificatetest.PEM(ca.Person(t, "x").Leaf)}))
	h.want(409, h.root, "POST", at, body(map[string]any{"name": "x", "certificate": ca.PEM()}))
	h.want(403, h.plain, "GET", at, "")
	h.want(404, h.acme, "GET", one, "") // another tenant's
	tag := h.etag(one)
	h.want(200, h.root, "PATCH", one, `{"name":"People"}`, "If-Match", tag)
	h.want(412, h.root, "DELETE", one, "", "If-Match", tag)

	lost := ca.Person(t, "lost").Leaf
	if l, err := c.UploadRevocationList(t.Context(), made["id"].(string), bytes.NewReader(ca.List(t, 7, []*x509.Certificate{lost}).Raw)); err != nil || l.Number != "7" || l.Revoked != 1 || l.Due {
		t.Errorf("%+v, %v", l, err)
	}
	if list := h.said("GET", one, "")["revocation_list"].(map[string]any); list["revoked"] != 1.0 {
		t.Errorf("%v", list)
	}
	for _, bad := range [][]byte{nil, []byte("<html>"), bytes.Repeat([]byte("x"), 2<<20), certificatetest.New(t, "Employees", nil).List(t, 8, nil).Raw} {
		if _, err := c.UploadRevocationList(t.Context(), made["id"].(string), bytes.NewReader(bad)); client.Status(err) != 400 {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
	h.must(c.DeleteRevocationList(t.Context(), made["id"].(string)))
	if err := c.DeleteRevocationList(t.Context(), made["id"].(string)); client.Status(err) != 404 {
		t.Errorf("twice: %v", err)
	}
	h.mixed.Store(true)
	h.want(412, h.root, "POST", at, body(map[string]any{"name": "x", "certificate": certificatetest.New(t, "x", nil).PEM()}))
	h.mixed.Store(false)
	h.want(204, h.root, "DELETE", one, "")
	h.want(404, h.root, "GET", one, "")
}

func TestCertificatesOfUsers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(h.root)
	ca := certificatetest.New(t, "Employees", nil)
	_, err := c.CertificateAuthorities.Create(t.Context(), map[string]any{"name": "Employees", "certificate": ca.PEM(), "rules": []string{"added"}})
	h.must(err)
	cert := certificatetest.PEM(ca.Person(t, "plain").Leaf)
	made, err := c.Users.AddCertificate(t.Context(), h.plainUser, client.NewUserCertificate{Certificate: cert, Name: "Badge"})
	if err != nil || made.By != "fingerprint" || made.Subject != "CN=plain" || made.Name != "Badge" || made.LastUsedAt != nil || len(made.SHA256) != 64 {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := c.Users.AddCertificate(t.Context(), h.rootUser, client.NewUserCertificate{Certificate: cert}); client.Status(err) != 409 {
		t.Errorf("to another: %v", err)
	}
	server := certificatetest.PEM(ca.Person(t, "x", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }).Leaf)
	strange := certificatetest.PEM(certificatetest.New(t, "Strangers", nil).Person(t, "x").Leaf)
	for text, says := range map[string]string{server: "extended key usage", strange: "no authority", "x": "PEM"} {
		if _, err := c.Users.AddCertificate(t.Context(), h.plainUser, client.NewUserCertificate{Certificate: text}); client.Status(err) != 400 || !strings.Contains(err.Error(), says) {
			t.Errorf("%.30q: %v", text, err)
		}
	}
	if p, err := c.Users.Certificates(t.Context(), h.plainUser, client.List{}); err != nil || len(p.Data) != 1 || p.Data[0].ID != made.ID {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := c.Users.Factors(t.Context(), h.plainUser, client.List{}); err != nil || len(p.Data) != 1 || p.Data[0].Type != "certificate" || p.Data[0].Name != "Badge" {
		t.Errorf("%+v, %v", p, err)
	}
	if err := c.Users.RemoveCertificate(t.Context(), h.rootUser, made.ID, false); client.Status(err) != 404 {
		t.Errorf("from another: %v", err)
	}
	if err := c.Users.RemoveCertificate(t.Context(), h.plainUser, made.ID, false); client.Status(err) != 409 || !strings.Contains(err.Error(), "Nothing would be left for plain to sign in with") {
		t.Errorf("the last way in: %v", err)
	}
	if p, err := c.Users.Certificates(t.Context(), h.plainUser, client.List{}); err != nil || len(p.Data) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	h.must(c.Users.RemoveCertificate(t.Context(), h.plainUser, made.ID, true))
	if _, err := c.Users.AddCertificate(t.Context(), h.plainUser, client.NewUserCertificate{Certificate: cert, By: "subject"}); err != nil {
		t.Error(err)
	}
	spare, err := c.Users.AddCertificate(t.Context(), h.plainUser, client.NewUserCertificate{Certificate: certificatetest.PEM(ca.Person(t, "spare").Leaf)})
	h.must(err)
	h.must(c.Users.ResetFactor(t.Context(), h.plainUser, spare.ID, false)) // the other one is left
	if err := c.Users.ResetFactors(t.Context(), h.plainUser, false); client.Status(err) != 409 || !strings.Contains(err.Error(), "Nothing would be left for plain to sign in with") {
		t.Errorf("the last way in: %v", err)
	}
	h.must(c.Users.ResetFactors(t.Context(), h.plainUser, true))
	if p, err := c.Users.Certificates(t.Context(), h.plainUser, client.List{}); err != nil || len(p.Data) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	h.want(404, h.root, "GET", "/api/v1/users/usr_x/certificates", "")
}

package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quis-idp/quis/identity/notify/post/posttest"
)

func TestMailSettings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const at = "/api/v1/settings/mail"
	if got := h.said("GET", at, ""); got["state"] != "none" || got["host"] != "" {
		t.Errorf("at first %v", got)
	}
	h.want(404, h.root, "POST", at+"/test", `{"to":"ada@example.com"}`)
	tag := h.etag(at)
	got := h.said("PUT", at, `{"host":"SMTP.example.com.","username":"quis","password":"swordfish","from":"noreply@example.com"}`, "If-Match", tag)
	if got["host"] != "smtp.example.com" || got["port"] != 587.0 || got["tls"] != "mandatory" || got["has_password"] != true || got["state"] != "set" {
		t.Errorf("%v", got)
	}
	h.want(412, h.root, "PUT", at, `{"host":"smtp.example.com","from":"noreply@example.com"}`, "If-Match", tag)
	// The password stays for the same server, and goes to no other.
	same := `{"host":"smtp.example.com","username":"quis","from":"other@example.com","tls":"%s"%s}`
	h.want(200, h.root, "PUT", at, fmt.Sprintf(same, "mandatory", ""))
	h.want(400, h.root, "PUT", at, fmt.Sprintf(same, "mandatory", `,"port":25`))
	h.want(400, h.root, "PUT", at, fmt.Sprintf(same, "none", ""))
	h.want(400, h.root, "PUT", at, `{"host":"evil.example.net","username":"quis","from":"other@example.com"}`)
	h.want(400, h.root, "PUT", at, `{"host":"smtp.example.com","from":"no address"}`)
	h.want(400, h.root, "PUT", at, `{"host":"a b","from":"a@example.com"}`)
	h.want(403, h.plain, "GET", at, "")
	// Another tenant's are its own.
	if other := h.said("GET", at+"?tenant=acme", ""); other["state"] != "none" {
		t.Errorf("%v", other)
	}
	for _, path := range []string{at, "/api/v1/events?limit=50"} {
		if _, body := h.call(h.root, "GET", path, ""); strings.Contains(body, "swordfish") {
			t.Errorf("%s shows the password", path)
		}
	}
	h.mixed.Store(true)
	h.want(412, h.root, "PUT", at, `{"host":"smtp.example.com","from":"noreply@example.com"}`)
	h.mixed.Store(false)
	h.want(204, h.root, "DELETE", at, "")
	h.want(404, h.root, "DELETE", at, "")
}

func TestTestMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := posttest.New(t, posttest.Rules{})
	h.carrier.Roots = s.Roots
	h.want(200, h.root, "PUT", "/api/v1/settings/mail", fmt.Sprintf(`{"host":"localhost","port":%d,"from":"noreply@example.com"}`, s.Port))
	h.want(400, h.root, "POST", "/api/v1/settings/mail/test", `{"to":"nonsense"}`)
	h.want(200, h.root, "POST", "/api/v1/settings/mail/test", `{"to":"ada@example.org"}`)
	if m := s.Wait(t, 1)[0]; m.To != "ada@example.org" || m.Subject() != "Mail from id.test works" {
		t.Errorf("%s: %s", m.To, m.Subject())
	}
	s.Set(func(r *posttest.Rules) {
		r.Answer = func(c, _ string) string {
			if c == "RCPT" {
				return "550 5.1.1 no such user"
			}
			return ""
		}
	})
	res, body := h.call(h.root, "POST", "/api/v1/settings/mail/test", `{"to":"ada@example.org"}`)
	if res.StatusCode != 400 || !strings.Contains(body, "550 5.1.1 no such user") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestMailPreview(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	list := h.said("GET", "/api/v1/mail/templates", "")["data"].([]any)
	if len(list) < 10 {
		t.Errorf("%d templates", len(list))
	}
	for _, row := range list {
		name := row.(map[string]any)["name"].(string)
		got := h.said("GET", "/api/v1/mail/templates/"+name+"/preview?locale=de", "")
		for _, part := range []string{"subject", "text", "html"} {
			if text := got[part].(string); text == "" || strings.ContainsAny(text, "\x00") || strings.Contains(text, "{place}") || strings.Contains(text, "<no value>") {
				t.Errorf("%s: %s is %q", name, part, text)
			}
		}
	}
	h.want(404, h.root, "GET", "/api/v1/mail/templates/nonsense/preview", "")
}

package inbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/inbox"
	"github.com/quis-idp/quis/identity/notify/post"
)

func put(t *testing.T, b *inbox.Box, n int) {
	t.Helper()
	err := b.Put("ten_default", &post.Message{
		ID: fmt.Sprintf("mai_%d", n), From: post.Address{Mailbox: "quis@quis.localhost"}, To: post.Address{Mailbox: "ada@example.org"},
		Subject: fmt.Sprintf("Letter %d <b>", n), Text: "plain <i>", HTML: "<p>rich<script>bad()</script></p>", Date: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInbox(t *testing.T) {
	t.Parallel()
	b := inbox.Open(t.TempDir() + "/mail")
	mux := http.NewServeMux()
	b.Routes(mux)
	s := httptest.NewServer(mux)
	defer s.Close()
	get := func(path string, status int) (string, http.Header) {
		t.Helper()
		res, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status {
			t.Fatalf("%s: %d %v", path, res.StatusCode, err)
		}
		return string(body), res.Header
	}
	if body, _ := get("/dev/mail", 200); !strings.Contains(body, "There is no mail yet.") {
		t.Errorf("an empty inbox: %s", body)
	}
	for n := range 203 {
		put(t, b, n)
	}
	body, _ := get("/dev/mail", 200)
	if !strings.Contains(body, "Letter 202 &lt;b&gt;") || strings.Index(body, "Letter 202") > strings.Index(body, "Letter 201") || strings.Contains(body, "Letter 2 ") {
		t.Error("not the newest 200, newest first")
	}
	var mails []inbox.Mail
	text, _ := get("/dev/mail.json", 200)
	if err := json.Unmarshal([]byte(text), &mails); err != nil || len(mails) != 200 || mails[0].Subject != "Letter 202 <b>" {
		t.Fatalf("%d mails, %v", len(mails), err)
	}
	text, _ = get("/dev/mail.json?after="+mails[1].ID, 200)
	if err := json.Unmarshal([]byte(text), &mails); err != nil || len(mails) != 1 {
		t.Fatalf("%d mails after the last but one, %v", len(mails), err)
	}
	if body, _ := get("/dev/mail/"+mails[0].ID, 200); !strings.Contains(body, "plain &lt;i&gt;") {
		t.Errorf("one message: %s", body)
	}
	html, header := get("/dev/mail/"+mails[0].ID+"/html", 200)
	if csp := header.Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") || strings.Contains(csp, "allow-scripts") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(html, "rich") {
		t.Errorf("policy %q", csp)
	}
	for _, path := range []string{"/dev/mail/nonsense", "/dev/mail/..%2f..%2fx", "/dev/mail/%2e%2e"} {
		get(path, 404)
	}
}

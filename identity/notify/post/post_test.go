package post_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/notify/post/posttest"
)

func message() *post.Message {
	return &post.Message{
		ID: "mai_1", From: post.Address{Name: "Example", Mailbox: "noreply@example.com"}, ReplyTo: "help@example.com",
		To: post.Address{Name: "Ada", Mailbox: "ada@example.org"}, Subject: "Grüße", Text: "Hello,\n\n.dot\n", HTML: "<p>Hello</p>",
		Date: time.Date(2026, 11, 28, 22, 0, 0, 0, time.UTC),
	}
}

func deliver(t *testing.T, s *posttest.Server, change func(*post.Server, *post.Carrier)) error {
	t.Helper()
	c := &post.Carrier{Dial: posttest.Dial, Roots: s.Roots}
	to := post.Server{Host: s.Host, Port: s.Port, TLS: post.TLSMandatory}
	if change != nil {
		change(&to, c)
	}
	return c.Deliver(t.Context(), to, message())
}

func TestMessageArrivesAsItWasMeant(t *testing.T) {
	t.Parallel()
	s := posttest.New(t, posttest.Rules{User: "quis", Pass: "pass word"})
	err := deliver(t, s, func(to *post.Server, _ *post.Carrier) { to.Username, to.Password = "quis", "pass word" })
	if err != nil {
		t.Fatal(err)
	}
	m := s.Wait(t, 1)[0]
	got := map[string]string{"envelope": m.From + " " + m.To, "subject": m.Subject(), "text": m.Text, "html": m.HTML}
	want := map[string]string{
		"envelope": "noreply@example.com ada@example.org", "subject": "Grüße", "text": "Hello,\n\n.dot\n", "html": "<p>Hello</p>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	headers := map[string]string{}
	for name := range m.Header {
		headers[name] = m.Header.Get(name)
	}
	delete(headers, "Content-Type") // holds a random boundary
	if diff := cmp.Diff(map[string]string{
		"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Date": "Sat, 28 Nov 2026 22:00:00 +0000",
		"From": `"Example" <noreply@example.com>`, "To": `"Ada" <ada@example.org>`, "Reply-To": "<help@example.com>",
		"Message-Id": "<mai_1@example.com>", "Mime-Version": "1.0", "Subject": m.Header.Get("Subject"),
	}, headers); diff != "" {
		t.Errorf("headers: %s", diff)
	}
	for _, l := range s.Said() {
		if !l.Encrypted && !strings.HasPrefix(l.Text, "EHLO example.com") && l.Text != "STARTTLS" {
			t.Errorf("said in the clear: %q", l.Text)
		}
		if strings.HasPrefix(l.Text, "AUTH") && !strings.HasPrefix(l.Text, "AUTH PLAIN") {
			t.Errorf("authenticates by %q", l.Text)
		}
	}
}

func TestImplicitTLS(t *testing.T) {
	t.Parallel()
	s := posttest.New(t, posttest.Rules{Implicit: true, User: "quis", Pass: "x"})
	err := deliver(t, s, func(to *post.Server, _ *post.Carrier) {
		to.TLS, to.Username, to.Password = post.TLSImplicit, "quis", "x"
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Wait(t, 1)
}

// TestWhatDoesNotWork: each failure says what is wrong, and whether to try again.
func TestWhatDoesNotWork(t *testing.T) {
	t.Parallel()
	say := func(command, answer string) func(string, string) string {
		return func(c, _ string) string {
			if c == command {
				return answer
			}
			return ""
		}
	}
	for name, c := range map[string]struct {
		rules  posttest.Rules
		change func(*post.Server, *post.Carrier)
		status string
		final  bool
	}{
		"no STARTTLS": {rules: posttest.Rules{NoStartTLS: true}, status: "does not offer TLS"},
		"another's certificate": {
			change: func(_ *post.Server, c *post.Carrier) { c.Roots = x509.NewCertPool() }, status: "certificate cannot be trusted",
		},
		"wrong password": {
			rules:  posttest.Rules{User: "quis", Pass: "right"},
			change: func(to *post.Server, _ *post.Carrier) { to.Username, to.Password = "quis", "wrong-secret" }, status: "does not let us in: 535",
		},
		"password in the clear": {
			change: func(to *post.Server, _ *post.Carrier) {
				to.Username, to.Password, to.TLS = "quis", "wrong-secret", post.TLSOpportunistic
			}, status: "over TLS only",
		},
		"no authentication there": {
			change: func(to *post.Server, _ *post.Carrier) { to.Username, to.Password = "quis", "wrong-secret" }, status: "does not let us in",
		},
		"greylisted":          {rules: posttest.Rules{Answer: say("RCPT", "451 4.7.1 come back later")}, status: "451 4.7.1 come back later"},
		"no such mailbox":     {rules: posttest.Rules{Answer: say("RCPT", "550 5.1.1 no such user")}, status: "550 5.1.1 no such user", final: true},
		"sender refused":      {rules: posttest.Rules{Answer: say("MAIL", "553 5.7.1 not yours")}, status: "553 5.7.1 not yours"},
		"message refused":     {rules: posttest.Rules{Answer: say(".", "554 5.6.0 spam")}, status: "554 5.6.0 spam", final: true},
		"full":                {rules: posttest.Rules{Answer: say(".", "452 4.3.1 full")}, status: "452 4.3.1 full"},
		"not now":             {rules: posttest.Rules{Answer: say("CONNECT", "421 busy")}, status: "421 busy"},
		"hangs up":            {rules: posttest.Rules{Answer: say("DATA", "drop")}, status: "EOF"},
		"hangs up at once":    {rules: posttest.Rules{Answer: say("CONNECT", "drop")}, status: "cannot be reached"},
		"talks nonsense":      {rules: posttest.Rules{Answer: say("CONNECT", "\x00\x01")}, status: "cannot be reached"},
		"an empty answer":     {rules: posttest.Rules{Answer: say("MAIL", " ")}, status: ""},
		"nobody there":        {change: func(to *post.Server, _ *post.Carrier) { to.Port = 1 }, status: "cannot be reached"},
		"address not allowed": {change: refuse, status: "cannot be reached: its address is not a public one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := posttest.New(t, c.rules)
			err := deliver(t, s, c.change)
			var f *post.Fault
			if !errors.As(err, &f) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(f.Status, c.status) || f.Final != c.final {
				t.Errorf("final %v: %s", f.Final, f.Status)
			}
			if strings.Contains(f.Status, "wrong-secret") || len(f.Status) > 220 || strings.Contains(f.Status, "ada@") {
				t.Errorf("status %q", f.Status)
			}
			if len(s.Mails()) != 0 {
				t.Error("it was taken all the same")
			}
		})
	}
}

func refuse(_ *post.Server, c *post.Carrier) {
	c.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("its address is not a public one")
	}
}

// TestFarewellDoesNotMatter: what goes wrong after the message was taken would have it sent twice.
func TestFarewellDoesNotMatter(t *testing.T) {
	t.Parallel()
	s := posttest.New(t, posttest.Rules{Answer: func(c, _ string) string {
		if c == "RSET" || c == "QUIT" {
			return "drop"
		}
		return ""
	}})
	if err := deliver(t, s, nil); err != nil {
		t.Error(err)
	}
	s.Wait(t, 1)
}

func TestSlowServerIsLeft(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"CONNECT", "MAIL", "."} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			free := make(chan struct{})
			defer close(free)
			s := posttest.New(t, posttest.Rules{Stall: func(c string) <-chan struct{} {
				if c == at {
					return free
				}
				return nil
			}})
			err := deliver(t, s, func(_ *post.Server, c *post.Carrier) { c.Within = 200 * time.Millisecond })
			var f *post.Fault
			if !errors.As(err, &f) || !strings.Contains(f.Status, "within 200ms") || f.Final {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestNothingBecomesAHeader(t *testing.T) {
	t.Parallel()
	m := message()
	m.Subject = "Hello\r\nBcc: eve@example.net\r\n\r\n<b>" + strings.Repeat("ö", 500)
	m.To.Name = "Ada\r\nBcc: eve@example.net\u2028\"x\" <eve@example.net>"
	m.From.Name = strings.Repeat("long ", 100) + "\nX-Bad: 1"
	raw, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n") {
		name, _, ok := strings.Cut(line, ":")
		if !strings.HasPrefix(line, " ") && (!ok || name == "Bcc" || name == "X-Bad") {
			t.Errorf("header line %q", line)
		}
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line of %d bytes", len(line))
		}
	}
	for _, bad := range []string{"eve@example.net\r\nRCPT TO:<x@y>", "a b@c", "ada@example.org, eve@x", `"a\"@x" <b@c>`, "<a@b>", "a@b\x00", "", "no-at", strings.Repeat("a", 300) + "@x"} {
		m := message()
		m.To.Mailbox = bad
		if _, err := m.Bytes(); err == nil {
			t.Errorf("mailbox %q is taken", bad)
		}
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("Ada", "ada@example.org", "Hello")
	f.Add("a\r\nb", `"x y"@example.org`, "=?utf-8?q?=0d=0aBcc:?=")
	f.Fuzz(func(t *testing.T, name, to, subject string) {
		m := message()
		m.To, m.Subject = post.Address{Name: name, Mailbox: to}, subject
		raw, err := m.Bytes()
		if err != nil {
			return
		}
		head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
		allowed := "Auto-Submitted Content-Type Date From MIME-Version Message-ID Reply-To Subject To X-Auto-Response-Suppress"
		for _, line := range strings.Split(head, "\r\n") {
			if name, _, _ := strings.Cut(line, ":"); !strings.HasPrefix(line, " ") && !strings.Contains(allowed, name) {
				t.Errorf("header %q", line)
			}
		}
	})
}

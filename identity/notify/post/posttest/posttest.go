// Package posttest is an SMTP server in the process of a test: with STARTTLS or TLS from the
// first byte, with authentication, and as unwilling as the test wants it.
//
// It keeps what it took and what clients said before that, so that a test can see what
// left over which connection.
package posttest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Server is an SMTP server. Change its fields with Set.
type Server struct {
	Host  string
	Port  int
	Roots *x509.CertPool // that vouch for it

	listener net.Listener
	tls      *tls.Config

	mu     sync.Mutex
	rules  Rules
	mails  []Mail
	said   []Line
	opened int
	conns  map[net.Conn]bool
	news   chan struct{}
}

// Rules are how the server behaves.
type Rules struct {
	Implicit   bool   // TLS from the first byte
	NoStartTLS bool   // none is offered
	User, Pass string // to be given; empty: nobody must
	// Answer, if set, is asked about each command (such as "MAIL", "RCPT", "DATA", and "."
	// for the end of a message) and may give another answer, such as "451 later". An answer
	// of "drop" closes the connection.
	Answer func(command, argument string) string
	// Stall, if set, is waited for before each answer: a slow server.
	Stall func(command string) <-chan struct{}
}

// A Mail is a message that was taken.
type Mail struct {
	From, To string // of the envelope
	Raw      string
	Header   mail.Header
	Text     string
	HTML     string
}

// A Line is what a client said.
type Line struct {
	Text      string
	Encrypted bool
}

// New starts a server, which ends with the test.
func New(t testing.TB, rules Rules) *Server {
	t.Helper()
	s := &Server{rules: rules, conns: map[net.Conn]bool{}, news: make(chan struct{}, 1<<16)}
	s.certify(t)
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Host = "localhost"
	s.Port = s.listener.Addr().(*net.TCPAddr).Port
	var all sync.WaitGroup
	all.Go(func() { s.accept(&all) })
	t.Cleanup(func() {
		s.listener.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		all.Wait()
	})
	return s
}

// Dial reaches this machine.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Set changes the rules.
func (s *Server) Set(change func(*Rules)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.rules)
}

// Mails returns what was taken so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail{}, s.mails...)
}

// Said returns what clients have said.
func (s *Server) Said() []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Line{}, s.said...)
}

// Opened is how many connections there were.
func (s *Server) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Wait returns what was taken once there are n.
func (s *Server) Wait(t testing.TB, n int) []Mail {
	t.Helper()
	late := time.After(10 * time.Second)
	for len(s.Mails()) < n {
		select {
		case <-s.news:
		case <-late:
			t.Fatalf("%d mails, want %d", len(s.Mails()), n)
		}
	}
	return s.Mails()
}

func (s *Server) certify(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(cert)
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func (s *Server) accept(all *sync.WaitGroup) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.opened++
		s.conns[conn] = true
		implicit := s.rules.Implicit
		s.mu.Unlock()
		all.Go(func() {
			defer func() {
				conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			d := &dialog{s: s, conn: conn}
			if implicit {
				d.conn, d.encrypted = tls.Server(conn, s.tls), true
			}
			d.run()
		})
	}
}

// A dialog is one connection.
type dialog struct {
	s         *Server
	conn      net.Conn
	in        *bufio.Reader
	encrypted bool
	authed    bool
	from, to  string
}

func (d *dialog) rules() Rules {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.rules
}

// say answers a command, unless the rules have another answer. ok says that it was ours.
func (d *dialog) say(command, argument, answer string) (ok bool) {
	rules := d.rules()
	if rules.Stall != nil {
		if wait := rules.Stall(command); wait != nil {
			<-wait
		}
	}
	ours := answer
	if rules.Answer != nil {
		if other := rules.Answer(command, argument); other != "" {
			answer = other
		}
	}
	if answer == "drop" {
		d.conn.Close()
		return false
	}
	io.WriteString(d.conn, answer+"\r\n")
	return answer == ours
}

func (d *dialog) run() {
	d.in = bufio.NewReader(d.conn)
	if !d.say("CONNECT", "", "220 test ESMTP") {
		return
	}
	for {
		line, err := d.in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		d.s.mu.Lock()
		d.s.said = append(d.s.said, Line{line, d.encrypted})
		d.s.mu.Unlock()
		command, argument, _ := strings.Cut(line, " ")
		if !d.obey(strings.ToUpper(command), argument) {
			return
		}
	}
}

func (d *dialog) obey(command, argument string) (more bool) {
	rules := d.rules()
	switch command {
	case "EHLO", "HELO":
		answer := "250-test\r\n250-ENHANCEDSTATUSCODES"
		if !rules.NoStartTLS && !d.encrypted {
			answer += "\r\n250-STARTTLS"
		}
		if rules.User != "" {
			answer += "\r\n250-AUTH PLAIN CRAM-MD5 NTLM"
		}
		d.say(command, argument, answer+"\r\n250 8BITMIME")
	case "STARTTLS":
		if d.say(command, "", "220 go") {
			d.conn, d.encrypted = tls.Server(d.conn, d.s.tls), true
			d.in = bufio.NewReader(d.conn)
		}
	case "AUTH":
		d.auth(argument, rules)
	case "MAIL":
		if rules.User != "" && !d.authed {
			d.say(command, argument, "530 5.7.0 authenticate first")
		} else if d.say(command, argument, "250 2.1.0 ok") {
			d.from = between(argument)
		}
	case "RCPT":
		if d.say(command, argument, "250 2.1.5 ok") {
			d.to = between(argument)
		}
	case "DATA":
		return !d.say(command, "", "354 go on") || d.data()
	case "QUIT":
		d.say(command, "", "221 bye")
		return false
	default:
		d.say(command, argument, "250 2.0.0 ok")
	}
	return true
}

func (d *dialog) auth(argument string, rules Rules) {
	mechanism, encoded, _ := strings.Cut(argument, " ")
	plain, err := base64.StdEncoding.DecodeString(encoded)
	if mechanism == "PLAIN" && err == nil && string(plain) == "\x00"+rules.User+"\x00"+rules.Pass {
		d.authed = d.say("AUTH", mechanism, "235 2.7.0 ok")
		return
	}
	d.say("AUTH", mechanism, "535 5.7.8 wrong")
}

func (d *dialog) data() (more bool) {
	var raw strings.Builder
	for {
		line, err := d.in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}
	m := parse(raw.String())
	m.From, m.To = d.from, d.to
	if d.say(".", "", "250 2.0.0 taken") {
		d.s.mu.Lock()
		d.s.mails = append(d.s.mails, m)
		d.s.mu.Unlock()
		d.s.news <- struct{}{}
	}
	return true
}

func between(argument string) string {
	_, rest, _ := strings.Cut(argument, "<")
	inside, _, _ := strings.Cut(rest, ">")
	return inside
}

// parse takes a message apart; what cannot be read is left out.
func parse(raw string) Mail {
	m := Mail{Raw: raw}
	msg, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return m
	}
	m.Header = msg.Header
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		return m
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err != nil {
			return m
		}
		var body io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(p)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return m
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			m.HTML = string(text)
		} else {
			m.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
		}
	}
}

// Subject is the decoded subject.
func (m Mail) Subject() string {
	s, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return "unreadable: " + strconv.Quote(m.Header.Get("Subject"))
	}
	return s
}

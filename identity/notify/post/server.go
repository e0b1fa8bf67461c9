package post

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/quis-idp/quis/identity"
)

// How a connection is protected.
const (
	TLSMandatory     = "mandatory"     // STARTTLS, or nothing is sent; the default
	TLSImplicit      = "implicit"      // TLS from the first byte (RFC 8314), as on port 465
	TLSOpportunistic = "opportunistic" // STARTTLS if the server offers it
	TLSNone          = "none"          // in the clear
)

// within bounds one attempt, from dialling to the server's last word.
const within = 30 * time.Second

const maxStatus = 200 // bytes of what a server said

// A Server is whom mail is handed to.
type Server struct {
	Host     string
	Port     int
	TLS      string // one of the constants
	Username string // empty: no authentication
	Password identity.Secret
}

// A Dial opens a connection to a host and port. It decides which addresses may be reached.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// A Carrier hands messages to servers. Dial must be set.
type Carrier struct {
	Dial   Dial
	Roots  *x509.CertPool // nil: the system's
	Within time.Duration  // bounds one attempt; 0: 30 s
}

// A Fault is why a message was not taken.
type Fault struct {
	Status string // for an administrator; at most 200 bytes, without any secret
	Final  bool   // there is no sense in trying again: the server refused this message or its recipient
	cause  error
}

// Error returns Status.
func (f *Fault) Error() string { return f.Status }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.cause }

// Deliver hands m to s and returns once the server has taken responsibility for it. Errors
// are *Fault.
func (c *Carrier) Deliver(ctx context.Context, s Server, m *Message) (err error) {
	limit := c.Within
	if limit == 0 {
		limit = within
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() { // the library indexes into words of the server
		if p := recover(); p != nil {
			err = &Fault{Status: "The server's answer could not be understood.", cause: fmt.Errorf("panic: %v", p)}
		}
	}()
	out, err := m.compose()
	if err != nil {
		return &Fault{Status: identity.Printable(err.Error(), maxStatus), Final: true, cause: err}
	}
	client, err := c.client(ctx, s, m)
	if err != nil {
		return &Fault{Status: "The settings cannot be used: " + identity.Printable(err.Error(), maxStatus/2), cause: err}
	}
	err = client.DialAndSendWithContext(ctx, out)
	if err == nil || out.IsDelivered() { // what goes wrong after that is only the farewell
		return nil
	}
	return faultOf(ctx, err, limit)
}

func (c *Carrier) client(ctx context.Context, s Server, m *Message) (*gomail.Client, error) {
	encrypted := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, RootCAs: c.Roots}
	options := []gomail.Option{
		gomail.WithPort(s.Port), gomail.WithTimeout(within), gomail.WithHELO(Domain(m.From.Mailbox)),
		gomail.WithTLSConfig(encrypted), gomail.WithoutNoop(), gomail.WithDialContextFunc(c.dial(ctx, s, encrypted)),
	}
	switch s.TLS {
	case TLSMandatory:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case TLSImplicit:
		options = append(options, gomail.WithSSL())
	case TLSOpportunistic:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	case TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, fmt.Errorf("unknown TLS policy %.20q", s.TLS)
	}
	if s.Username != "" {
		if s.TLS != TLSMandatory && s.TLS != TLSImplicit {
			return nil, errors.New("a password is sent over TLS only")
		}
		// Not the library's own order, which prefers NTLM and CRAM-MD5 to a plain password inside TLS.
		options = append(options, gomail.WithUsername(s.Username), gomail.WithPassword(s.Password.Reveal()),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256PLUS, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return gomail.NewClient(s.Host, options...)
}

// dial returns what the library dials with. The end of attempt closes the connection,
// since the library sets deadlines of its own.
func (c *Carrier) dial(attempt context.Context, s Server, encrypted *tls.Config) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := c.Dial(ctx, network, address)
		if err != nil {
			return nil, dialError{err}
		}
		context.AfterFunc(attempt, func() { conn.Close() })
		if s.TLS != TLSImplicit {
			return conn, nil
		}
		inside := tls.Client(conn, encrypted)
		if err := inside.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return inside, nil
	}
}

// A dialError is one of Dial, whose words are fit to be shown.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// faultOf says what an error of the library means.
func faultOf(ctx context.Context, err error, limit time.Duration) *Fault {
	f := &Fault{Status: identity.Printable(err.Error(), maxStatus), cause: err}
	var refused *gomail.SendError
	var cert *tls.CertificateVerificationError
	var dial dialError
	switch {
	case errors.As(err, &dial) && ctx.Err() == nil:
		f.Status = "The server cannot be reached: " + identity.Printable(dial.Error(), maxStatus/2)
	case errors.As(err, &cert):
		f.Status = "The server's certificate cannot be trusted: " + identity.Printable(cert.Err.Error(), maxStatus/2)
	case ctx.Err() != nil:
		f.Status = fmt.Sprintf("The server did not take it within %s.", limit)
	case errors.As(err, &refused):
		// A refusal of the sender is one of the settings, and these can be put right.
		f.Final = !refused.IsTemp() && refused.ErrorCode() >= 500 && refused.Reason != gomail.ErrSMTPMailFrom
		f.Status = "The server said: " + identity.Printable(reply(refused), maxStatus-20)
	case strings.Contains(err.Error(), "SMTP AUTH"):
		f.Status = "The server does not let us in: " + identity.Printable(unquoted(lastOf(err).Error()), maxStatus/2)
	case strings.Contains(err.Error(), "does not support STARTTLS"):
		f.Status = "The server does not offer TLS (STARTTLS), and the settings want it."
	default:
		f.Status = "The server cannot be reached: " + identity.Printable(unquoted(lastOf(err).Error()), maxStatus/2)
	}
	return f
}

// reply is what the server answered, without the library's words around it.
func reply(e *gomail.SendError) string {
	text := e.Error()
	if i := strings.Index(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	if i := strings.Index(text, ", affected "); i >= 0 {
		text = text[:i]
	}
	return unquoted(strings.TrimSpace(text))
}

// unquoted takes out the quotes that textproto puts around what a server said.
func unquoted(s string) string { return strings.ReplaceAll(s, `"`, "") }

// lastOf is the innermost of a chain of errors.
func lastOf(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

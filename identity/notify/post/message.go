package post

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/quis-idp/quis/identity"
)

const (
	maxName    = 64  // bytes of a person's name in a header
	maxSubject = 200 // bytes
	maxAddress = 254 // RFC 5321, section 4.5.3.1.3, without the brackets
)

// A Message is one mail to one person. The same ID is the same mail: a server or a person
// that is sent it twice can tell by its Message-ID.
type Message struct {
	ID      string // lgo-like: letters, digits and _; the left of the Message-ID
	From    Address
	ReplyTo string // address; may be empty
	To      Address
	Subject string
	Text    string // plain text
	HTML    string // the same, with no reference to anything outside
	Date    time.Time
}

// An Address is a mailbox and the name that is shown with it, which may be empty.
type Address struct{ Name, Mailbox string }

// ParseAddress accepts one bare address, such as ada@example.com, that can stand in SMTP and
// in a header. It reports identity.ErrInvalid, for field.
func ParseAddress(field, s string) (string, error) {
	bad := identity.Invalid(field, "is not an email address")
	if len(s) > maxAddress || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`<>(),;:\"[]`, r) }) {
		return "", bad
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" {
		return "", bad
	}
	return s, nil
}

// Domain is what stands behind the @ of an address.
func Domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// Bytes returns m as it would be sent (RFC 5322), for an inbox on this machine.
func (m *Message) Bytes() ([]byte, error) {
	out, err := m.compose()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = out.WriteTo(&b)
	return b.Bytes(), err
}

// compose makes the mail. Names and subject are cut and lose whatever could end a line
// before the library encodes them.
func (m *Message) compose() (*gomail.Msg, error) {
	out := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	for _, a := range []Address{m.From, m.To} {
		if _, err := ParseAddress("address", a.Mailbox); err != nil {
			return nil, fmt.Errorf("compose mail: %w", err)
		}
	}
	out.FromMailAddress(m.From.header())
	out.ToMailAddress(m.To.header())
	if m.ReplyTo != "" {
		to, err := ParseAddress("reply_to", m.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("compose mail: %w", err)
		}
		out.ReplyToMailAddress(&mail.Address{Address: to})
	}
	out.Subject(identity.Printable(m.Subject, maxSubject))
	out.SetMessageIDWithValue(m.ID + "@" + Domain(m.From.Mailbox))
	out.SetDateWithValue(m.Date)
	// No answer by machine, please (RFC 3834, section 5; the other is Exchange's).
	out.SetGenHeader("Auto-Submitted", "auto-generated")
	out.SetGenHeader("X-Auto-Response-Suppress", "All")
	out.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		out.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return out, nil
}

func (a Address) header() *mail.Address {
	return &mail.Address{Name: identity.Printable(a.Name, maxName), Address: a.Mailbox}
}

package notify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/keys/seal"
)

// Settings are what a tenant sends its mail with.
type Settings struct {
	Tenant   string    `cbor:"1,keyasint,omitempty"`
	Host     string    `cbor:"2,keyasint,omitempty"` // of the SMTP server: a name or an address
	Port     int       `cbor:"3,keyasint,omitempty"`
	TLS      string    `cbor:"4,keyasint,omitempty"` // see package post
	Username string    `cbor:"5,keyasint,omitempty"` // empty: no authentication
	Sealed   []byte    `cbor:"6,keyasint,omitempty"` // the password, for this server and name only
	From     string    `cbor:"7,keyasint,omitempty"` // address
	FromName string    `cbor:"8,keyasint,omitempty"` // shown with it
	ReplyTo  string    `cbor:"9,keyasint,omitempty"` // address; empty: nobody reads answers
	Updated  time.Time `cbor:"10,keyasint,omitempty"`
}

var mailSettings = fsm.NewTable(90, "mail_settings", fsm.Spec[Settings]{
	Scope: func(s *Settings) fsm.Scope { return fsm.Scope(s.Tenant) },
	Key:   func(*Settings) fsm.Key { return settingsKey },
})

var settingsKey = fsm.K("mail")

// Bounds in bytes.
const (
	maxHost     = 253
	maxUsername = 320
	maxPassword = 1024
	maxFromName = 64

	passwordPurpose = "mail password"
)

// GetSettings returns the settings of a tenant and their revision, or fsm.ErrNotFound: then
// it sends no mail.
func GetSettings(tx *fsm.Tx, tenant string) (*Settings, uint64, error) {
	s, rev, err := mailSettings.GetRev(tx, fsm.Scope(tenant), settingsKey)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, 0, fmt.Errorf("mail settings: %w", err)
	}
	return s, rev, err
}

// PutSettings replaces the settings of s.Tenant, at revision rev (0: any, or none). password
// nil keeps the one that is there, which is possible only as long as it goes to the same
// server under the same name, no less protected: else whoever may change settings could
// have it sent to a server of their own. It reports identity.ErrInvalid for each field.
func PutSettings(tx *fsm.Tx, ring *seal.Ring, s Settings, password *identity.Secret, rev uint64) (*Settings, error) {
	if err := s.check(password); err != nil {
		return nil, err
	}
	old, at, err := GetSettings(tx, s.Tenant)
	switch {
	case errors.Is(err, fsm.ErrNotFound):
		old = &Settings{}
	case err != nil:
		return nil, err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return nil, err
	}
	if err := s.seal(ring, old, password); err != nil {
		return nil, err
	}
	s.Updated = tx.Now()
	if err := mailSettings.Put(tx, &s); err != nil {
		return nil, err
	}
	changes := event.Diff(old.fields(), s.fields())
	if password != nil {
		changes = append(changes, event.Change{Field: "password", After: "set anew"})
	}
	return &s, event.Append(tx, event.Event{Tenant: s.Tenant, Type: event.MailSettingsSet, Target: event.Target{Kind: "tenant", ID: s.Tenant}, Changes: changes})
}

// DeleteSettings has a tenant send no mail any more. It reports fsm.ErrNotFound.
func DeleteSettings(tx *fsm.Tx, tenant string) error {
	old, _, err := GetSettings(tx, tenant)
	if err != nil {
		return err
	}
	if err := mailSettings.Delete(tx, fsm.Scope(tenant), settingsKey); err != nil {
		return err
	}
	return event.Append(tx, event.Event{
		Tenant: tenant, Type: event.MailSettingsRemoved, Target: event.Target{Kind: "tenant", ID: tenant},
		Changes: event.Diff(old.fields(), (&Settings{}).fields()),
	})
}

func (s *Settings) check(password *identity.Secret) error {
	var all []error
	bad := func(field, detail string) { all = append(all, identity.Invalid(field, detail)) }
	s.Host = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(s.Host)), ".")
	if s.Host == "" || len(s.Host) > maxHost || strings.Trim(s.Host, "abcdefghijklmnopqrstuvwxyz0123456789.-:_") != "" {
		bad("host", "is not the name or address of a server")
	}
	if s.Port < 1 || s.Port > 65535 {
		bad("port", "is not a port: 587 is usual, 465 with TLS from the first byte")
	}
	switch s.TLS {
	case post.TLSMandatory, post.TLSImplicit:
	case post.TLSOpportunistic, post.TLSNone:
		if s.Username != "" {
			bad("tls", "must be mandatory or implicit where there is a password: it would be sent in the clear")
		}
	default:
		bad("tls", "must be mandatory, implicit, opportunistic or none")
	}
	if len(s.Username) > maxUsername || identity.Printable(s.Username, maxUsername) != s.Username {
		bad("username", "is too long, or holds what cannot be shown")
	}
	if password != nil && (len(password.Reveal()) > maxPassword || strings.ContainsAny(password.Reveal(), "\r\n\x00")) {
		bad("password", "is too long, or more than one line")
	}
	if password != nil && *password != "" && s.Username == "" {
		bad("username", "is needed where there is a password")
	}
	if _, err := post.ParseAddress("from", s.From); err != nil {
		all = append(all, err)
	}
	if len(s.FromName) > maxFromName || identity.Printable(s.FromName, maxFromName) != s.FromName {
		bad("from_name", fmt.Sprintf("must be %d bytes at most, all of which can be shown", maxFromName))
	}
	if s.ReplyTo != "" {
		if _, err := post.ParseAddress("reply_to", s.ReplyTo); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// seal gives s its password: a new one, or that of old.
func (s *Settings) seal(ring *seal.Ring, old *Settings, password *identity.Secret) (err error) {
	s.Sealed = nil
	switch {
	case s.Username == "":
		return nil
	case password != nil && *password != "":
		s.Sealed, err = ring.Seal(passwordPurpose, []byte(password.Reveal()), s.context())
		if err != nil {
			return fmt.Errorf("mail settings: %w", err)
		}
	case password == nil && len(old.Sealed) > 0 && string(old.context()) == string(s.context()):
		s.Sealed = old.Sealed
	case password == nil && len(old.Sealed) > 0:
		return identity.Invalid("password", "is needed again, since it would go to another server or under another name")
	default:
		return identity.Invalid("password", "is needed where there is a username")
	}
	return nil
}

// context is whom the password is for. Both policies that may have one protect it alike.
func (s *Settings) context() []byte {
	var b []byte
	for _, part := range []string{s.Tenant, s.Host, strconv.Itoa(s.Port), s.Username} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

func (s *Settings) server(ring *seal.Ring) (post.Server, error) {
	out := post.Server{Host: s.Host, Port: s.Port, TLS: s.TLS, Username: s.Username}
	if s.Username == "" {
		return out, nil
	}
	plain, err := ring.Open(passwordPurpose, s.Sealed, s.context())
	if err != nil {
		return out, fmt.Errorf("open mail password: %w", err)
	}
	out.Password = identity.Secret(plain)
	return out, nil
}

// fields are what the record of changes shows.
func (s *Settings) fields() [][2]string {
	port := ""
	if s.Port != 0 {
		port = strconv.Itoa(s.Port)
	}
	return [][2]string{
		{"host", s.Host}, {"port", port}, {"tls", s.TLS}, {"username", s.Username},
		{"from", s.From}, {"from_name", s.FromName}, {"reply_to", s.ReplyTo},
	}
}

package consent

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// A ticket stands in a form that asks something: the question's ID 16, until when it is
// good 8, and the session it was shown to, sealed for one kind of question and tenant.
const (
	ticketPurpose  = "decision "
	ticketLifetime = 10 * time.Minute
	maxTicket      = 512
)

var ticketText = base64.RawURLEncoding.Strict()

func (p *Pages) ticket(kind string, v *visitor, id family.ID) (string, error) {
	b := append(make([]byte, 0, 128), id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.cfg.DB.Now().Add(ticketLifetime).UnixMilli()))
	b = append(b, v.ID...)
	box, err := p.cfg.Ring.Seal(p.cfg.Ring.Passing(ticketPurpose+kind), b, []byte(v.Tenant))
	if err != nil {
		return "", err
	}
	return ticketText.EncodeToString(box), nil
}

// asked returns what v was asked in the form that text stood in. It reports fsm.ErrNotFound
// for what was sealed for anybody or anything else, or is too old.
func (p *Pages) asked(kind string, v *visitor, text string) (id family.ID, err error) {
	if len(text) > maxTicket {
		return id, errTicket
	}
	box, err := ticketText.DecodeString(text)
	if err != nil {
		return id, errTicket
	}
	b, err := p.cfg.Ring.Open(p.cfg.Ring.Passing(ticketPurpose+kind), box, []byte(v.Tenant))
	if errors.Is(err, seal.ErrBox) || err == nil && len(b) < 24 {
		return id, errTicket
	}
	if err != nil {
		return id, err
	}
	until := time.UnixMilli(int64(binary.BigEndian.Uint64(b[16:])))
	if subtle.ConstantTimeCompare(b[24:], []byte(v.ID)) != 1 || p.cfg.DB.Now().After(until) {
		return id, errTicket
	}
	return family.ID(b[:16]), nil
}

var errTicket = fmt.Errorf("ticket of a form: %w", fsm.ErrNotFound)

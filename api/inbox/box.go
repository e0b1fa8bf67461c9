package inbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/identity/notify/post"
)

// keep is how many messages stay.
const keep = 200

const extension = ".json"

// A Mail is one message as it is kept.
type Mail struct {
	ID      string    `json:"id"` // of the file: sorts by arrival
	Message string    `json:"message_id"`
	Tenant  string    `json:"tenant"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	Date    time.Time `json:"date"`
}

// A Box is a directory of messages, which is made when the first one comes.
type Box struct{ dir string }

// Open returns the box in dir. Nothing is looked at yet.
func Open(dir string) *Box { return &Box{dir} }

// Put keeps a message.
func (b *Box) Put(tenant string, m *post.Message) error {
	if _, err := m.Bytes(); err != nil { // it must be one that could have been sent
		return err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	now := time.Now()
	kept := Mail{
		ID: fmt.Sprintf("%020d-%s", now.UnixNano(), m.ID), Message: m.ID, Tenant: tenant, From: m.From.Mailbox, To: m.To.Mailbox,
		Subject: m.Subject, Text: m.Text, HTML: m.HTML, Date: now.UTC(),
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(b.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), filepath.Join(b.dir, kept.ID+extension))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return b.trim()
}

// trim removes the oldest messages. Another node may do so at the same time.
func (b *Box) trim() error {
	ids, err := b.ids()
	if err != nil {
		return err
	}
	for _, id := range ids[min(keep, len(ids)):] {
		if err := os.Remove(filepath.Join(b.dir, id+extension)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// ids lists what there is, newest first.
func (b *Box) ids() ([]string, error) {
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), extension); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, err
}

// Get returns one message, or an error that is fs.ErrNotExist.
func (b *Box) Get(id string) (*Mail, error) {
	if id == "" || strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz_-") != "" {
		return nil, fs.ErrNotExist
	}
	data, err := os.ReadFile(filepath.Join(b.dir, id+extension))
	if err != nil {
		return nil, err
	}
	var m Mail
	return &m, json.Unmarshal(data, &m)
}

// List returns all messages that came after the one with ID after (empty: all), newest first.
func (b *Box) List(after string) ([]Mail, error) {
	ids, err := b.ids()
	if err != nil {
		return nil, err
	}
	out := []Mail{}
	for _, id := range ids {
		if id <= after {
			break
		}
		m, err := b.Get(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // trimmed meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *m)
	}
	return out, nil
}

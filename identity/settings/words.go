package settings

import (
	"errors"

	"github.com/quis-idp/quis/fsm"
)

// A wordList is a tenant's Password.Blocklist in a row of its own: every request reads the settings, and only
// new passwords are compared with the words.
type wordList struct {
	Tenant string   `cbor:"1,keyasint,omitempty"`
	Words  []string `cbor:"2,keyasint,omitempty"`
}

var wordLists = fsm.NewTable(78, "password_words", fsm.Spec[wordList]{
	Scope: func(w *wordList) fsm.Scope { return fsm.Scope(w.Tenant) },
	Key:   func(*wordList) fsm.Key { return fsm.K("words") },
})

// maxWordBytes bounds all words of a list.
const maxWordBytes = 16 << 10

// Whole is Get with Password.Blocklist, which Get leaves out.
func Whole(tx *fsm.Tx, tenant string) (*Authentication, uint64, error) {
	a, rev, err := Get(tx, tenant)
	if err != nil {
		return nil, 0, err
	}
	w, err := wordLists.Get(tx, fsm.Scope(tenant), fsm.K("words"))
	if err == nil {
		a.Password.Blocklist = w.Words
	} else if !errors.Is(err, fsm.ErrNotFound) {
		return nil, 0, err
	}
	return a, rev, nil
}

// put writes a, and its words where they belong.
func (a Authentication) put(tx *fsm.Tx) error {
	words := wordList{a.Tenant, a.Password.Blocklist}
	a.Password.Blocklist = nil
	if err := table.Put(tx, &a); err != nil {
		return err
	}
	if len(words.Words) > 0 {
		return wordLists.Put(tx, &words)
	}
	return wordLists.Delete(tx, fsm.Scope(a.Tenant), fsm.K("words"))
}

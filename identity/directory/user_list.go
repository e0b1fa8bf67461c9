package directory

import (
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// A UserQuery narrows a listing of users; the zero value lists all, by username.
type UserQuery struct {
	Prefix string // of the username or of the address
	After  string // cursor of the page before
	Limit  int    // default 50, at most 500
}

// The first letter of a cursor tells which index it stands in.
const (
	inUsernames = "u"
	inEmails    = "e"
)

// ListUsers returns a page of users and the cursor of the next page, empty at the
// end. With a prefix, users whose username begins with it come first, then those
// whose address does. It reports identity.ErrInvalid for a cursor that is not one.
func ListUsers(tx *fsm.Tx, tenant string, q UserQuery) ([]User, string, error) {
	prefix := userSearchKey(q.Prefix)
	index, after := inUsernames, q.After
	if after != "" {
		index, after = after[:1], after[1:]
	}
	p, err := newPage[User](after, q.Limit)
	if err != nil {
		return nil, "", err
	}
	opts := []fsm.ListOption{fsm.Prefix(fsm.Key(prefix))}
	if after != "" {
		opts = append(opts, fsm.After(after))
	}
	switch index {
	case inUsernames:
		cursor := func(u *User) string { return inUsernames + usersByUsername.Cursor(u) }
		if err := p.fill(usersByUsername.List(tx, fsm.Scope(tenant), opts...), cursor); err != nil {
			return nil, "", err
		}
		if p.full() || prefix == "" {
			return p.rows, p.next, nil
		}
		opts = opts[:1] // go on with the addresses, from the first
	case inEmails:
		if prefix == "" {
			return nil, "", errCursor()
		}
	default:
		return nil, "", errCursor()
	}
	p.skip = func(u *User) bool { return strings.HasPrefix(usernameKey(u.Username), prefix) } // shown already
	cursor := func(u *User) string { return inEmails + usersByEmail.Cursor(u) }
	err = p.fill(usersByEmail.List(tx, fsm.Scope(tenant), opts...), cursor)
	return p.rows, p.next, err
}

func errCursor() error { return identity.Invalid("after", "is not a cursor of this list") }

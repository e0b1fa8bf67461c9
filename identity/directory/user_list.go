package directory

import (
	"iter"
	"strings"

	"github.com/quis-idp/quis/fsm"
)

// A UserQuery narrows a listing of users; the zero value lists all, by username.
type UserQuery struct {
	Search string // beginning of the username or of the address, or of words of the name
	After  string // cursor of the page before
	Limit  int    // default 50, at most 500
}

// maxLooked is how many users a page looks at: those that were shown before, or of whose name only one
// word fits, are passed over.
const maxLooked = 1000

// A lane is one of the indexes in which a search looks, one after the other.
type lane struct {
	letter string // the first of its cursors
	list   func(after string) iter.Seq2[*fsm.Place[User], error]
	here   func(*fsm.Place[User]) bool // whether a user is shown here
}

// ListUsers returns a page of users and the cursor of the next page, empty at the end; a page may be
// short of its limit, or empty, and not the last. Users whose username begins with what is searched for
// come first, then those whose address does, then those of whose name it begins words (see newCalled).
// It reports identity.ErrInvalid for a cursor that is not one.
func ListUsers(tx *fsm.Tx, tenant string, q UserQuery) ([]User, string, error) {
	p, err := newPage[User]("", q.Limit)
	if err != nil {
		return nil, "", err
	}
	all, after := lanes(tx, tenant, q.Search), ""
	if q.After != "" {
		for len(all) > 0 && all[0].letter != q.After[:1] {
			all = all[1:]
		}
		if after = q.After[1:]; len(all) == 0 || !fsm.ValidCursor(after) {
			return nil, "", errCursor()
		}
	}
	looked, last := 0, ""
	for _, l := range all {
		for place, err := range l.list(after) {
			if err != nil {
				return nil, "", err
			}
			shown := l.here(place)
			if looked == maxLooked || shown && len(p.rows) == p.limit {
				return p.rows, last, nil
			}
			if looked, last = looked+1, l.letter+place.Cursor; shown {
				p.rows = append(p.rows, *place.Row)
			}
		}
		after = ""
	}
	return p.rows, "", nil
}

func lanes(tx *fsm.Tx, tenant, search string) []lane {
	prefix, called := userSearchKey(search), newCalled(search)
	by := func(index *fsm.Index[User]) func(string) iter.Seq2[*fsm.Place[User], error] {
		return func(after string) iter.Seq2[*fsm.Place[User], error] {
			return index.Places(tx, fsm.Scope(tenant), fsm.Prefix(fsm.Key(prefix)), fsm.After(after))
		}
	}
	byUsername := func(u *User) bool { return strings.HasPrefix(usernameKey(u.Username), prefix) }
	byEmail := func(u *User) bool { return strings.HasPrefix(emailKey(u.Email), prefix) }
	all := []lane{{"u", by(usersByUsername), func(*fsm.Place[User]) bool { return true }}}
	if prefix != "" {
		all = append(all, lane{"e", by(usersByEmail), func(p *fsm.Place[User]) bool { return !byUsername(p.Row) }})
	}
	if prefix != "" && called.look != "" {
		all = append(all, lane{
			"n", func(after string) iter.Seq2[*fsm.Place[User], error] { return called.places(tx, tenant, after) },
			func(p *fsm.Place[User]) bool { return called.here(p) && !byUsername(p.Row) && !byEmail(p.Row) },
		})
	}
	return all
}

package session

import (
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

const (
	defaultPage = 50
	maxPage     = 500
)

// ListOf returns the sessions of a user that stand, the latest first.
func (st *Store) ListOf(tx *fsm.Tx, tenant, user string) ([]Session, error) {
	l, err := lifetimeOf(tx, tenant)
	if err != nil {
		return nil, err
	}
	var all []Session
	for s, err := range sessionsByUser.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(user))) {
		if err != nil {
			return nil, err
		}
		stands, err := st.stands(tx, s, l)
		if err != nil {
			return nil, err
		}
		if stands {
			all = append(all, *s)
		}
	}
	slices.Reverse(all)
	return all, nil
}

// ListAll returns a page of a tenant's sessions that stand, the latest first, and the
// cursor of the next page, empty at the end. It reports identity.ErrInvalid for a
// cursor that is not one.
func (st *Store) ListAll(tx *fsm.Tx, tenant, after string, limit int) (page []Session, next string, err error) {
	if !fsm.ValidCursor(after) {
		return nil, "", identity.Invalid("after", "is not a cursor of this list")
	}
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	l, err := lifetimeOf(tx, tenant)
	if err != nil {
		return nil, "", err
	}
	for s, err := range sessions.List(tx, fsm.Scope(tenant), fsm.Reverse(), fsm.After(after)) {
		if err != nil {
			return nil, "", err
		}
		stands, err := st.stands(tx, s, l)
		if err != nil {
			return nil, "", err
		}
		if !stands {
			continue
		}
		if len(page) == limit {
			return page, sessions.Cursor(&page[limit-1]), nil
		}
		page = append(page, *s)
	}
	return page, "", nil
}

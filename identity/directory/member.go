package directory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// removedAtOnce bounds the memberships that one transaction removes: each costs
// some 300 bytes of a batch, and a batch has 256 KiB.
const removedAtOnce = 300

// maxGroups bounds the groups of one user: they all go into one token.
const maxGroups = 500

type member struct {
	Tenant string    `cbor:"1,keyasint,omitempty"`
	Group  string    `cbor:"2,keyasint,omitempty"`
	User   string    `cbor:"3,keyasint,omitempty"`
	Added  time.Time `cbor:"4,keyasint,omitempty"`
}

// A remain says that memberships of a user or group that is gone may still be there.
type remain struct {
	Tenant string `cbor:"1,keyasint,omitempty"`
	Group  string `cbor:"2,keyasint,omitempty"` // one of the two
	User   string `cbor:"3,keyasint,omitempty"`
}

var (
	members = fsm.NewTable(43, "members", fsm.Spec[member]{
		Scope: func(m *member) fsm.Scope { return fsm.Scope(m.Tenant) },
		Key:   func(m *member) fsm.Key { return fsm.K(m.Group, m.User) },
	})
	membersByUser = members.Index(1, "user", func(m *member) []fsm.Key { return []fsm.Key{fsm.K(m.User)} })
	remains       = fsm.NewTable(44, "member_remains", fsm.Spec[remain]{
		Scope: func(r *remain) fsm.Scope { return fsm.Scope(r.Tenant) },
		Key:   func(r *remain) fsm.Key { return fsm.K(r.Group, r.User) },
	})
)

// AddMember puts a user into a group; a member already is no error and no event.
// It reports fsm.ErrNotFound if either is missing, and identity.ErrInvalid if the
// user is in too many groups.
func AddMember(tx *fsm.Tx, tenant, group, user string) error {
	g, u, err := both(tx, tenant, group, user)
	if err != nil {
		return err
	}
	has, err := members.Has(tx, fsm.Scope(tenant), fsm.K(group, user))
	if err != nil || has {
		return err
	}
	n := 0
	for _, err := range membersByUser.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(user))) {
		if err != nil {
			return err
		}
		if n++; n >= maxGroups {
			return identity.Invalid("groups", fmt.Sprintf("a user can be in %d groups at most", maxGroups))
		}
	}
	m := &member{Tenant: tenant, Group: group, User: user, Added: tx.Now()}
	if err := members.Put(tx, m); err != nil {
		return err
	}
	return membership(tx, event.GroupMemberAdded, g, u)
}

// RemoveMember takes a user out of a group; someone who is not a member is no error.
func RemoveMember(tx *fsm.Tx, tenant, group, user string) error {
	g, u, err := both(tx, tenant, group, user)
	if err != nil {
		return err
	}
	has, err := members.Has(tx, fsm.Scope(tenant), fsm.K(group, user))
	if err != nil || !has {
		return err
	}
	if err := members.Delete(tx, fsm.Scope(tenant), fsm.K(group, user)); err != nil {
		return err
	}
	return membership(tx, event.GroupMemberRemoved, g, u)
}

// GroupsOf returns the groups that a user is in, in order of their creation.
func GroupsOf(tx *fsm.Tx, tenant, user string) ([]Group, error) {
	var all []Group
	for m, err := range membersByUser.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(user))) {
		if err != nil {
			return nil, err
		}
		g, _, err := GetGroup(tx, tenant, m.Group)
		if errors.Is(err, fsm.ErrNotFound) { // a remain, see Sweep
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, *g)
	}
	return all, nil
}

// MembersOf returns a page of the users in a group, in order of their creation, and
// the cursor of the next page. It reports fsm.ErrNotFound if there is no such group.
func MembersOf(tx *fsm.Tx, tenant, group, after string, limit int) ([]User, string, error) {
	if _, _, err := GetGroup(tx, tenant, group); err != nil {
		return nil, "", err
	}
	p, err := newPage[User](after, limit)
	if err != nil {
		return nil, "", err
	}
	list := members.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(group)), fsm.After(after))
	cursor := func(u *User) string { return members.Cursor(&member{Group: group, User: u.ID}) }
	err = p.fill(usersIn(tx, tenant, list), cursor)
	return p.rows, p.next, err
}

// usersIn yields the users of memberships, passing over those who are gone.
func usersIn(tx *fsm.Tx, tenant string, list iter.Seq2[*member, error]) iter.Seq2[*User, error] {
	return func(yield func(*User, error) bool) {
		for m, err := range list {
			var u *User
			if err == nil {
				u, _, err = GetUser(tx, tenant, m.User)
			}
			if errors.Is(err, fsm.ErrNotFound) {
				continue
			}
			if !yield(u, err) || err != nil {
				return
			}
		}
	}
}

func both(tx *fsm.Tx, tenant, group, user string) (*Group, *User, error) {
	g, _, err := GetGroup(tx, tenant, group)
	if err != nil {
		return nil, nil, err
	}
	u, _, err := GetUser(tx, tenant, user)
	return g, u, err
}

func membership(tx *fsm.Tx, t event.Type, g *Group, u *User) error {
	return event.Append(tx, event.Event{
		Tenant: g.Tenant, Type: t, Target: g.target(),
		Data: map[string]string{"user_id": u.ID, "username": u.Username},
	})
}

// of yields the memberships that r is about.
func (r *remain) of(tx *fsm.Tx) iter.Seq2[*member, error] {
	if r.User != "" {
		return membersByUser.List(tx, fsm.Scope(r.Tenant), fsm.Prefix(fsm.K(r.User)))
	}
	return members.List(tx, fsm.Scope(r.Tenant), fsm.Prefix(fsm.K(r.Group)))
}

// leaveBehind removes r's memberships, as many as one transaction may, and notes r
// if there are more.
func leaveBehind(tx *fsm.Tx, r remain) error {
	var keys []fsm.Key
	more := false
	for m, err := range r.of(tx) {
		if err != nil {
			return err
		}
		if more = len(keys) == removedAtOnce; more {
			break
		}
		keys = append(keys, fsm.K(m.Group, m.User))
	}
	for _, k := range keys {
		if err := members.Delete(tx, fsm.Scope(r.Tenant), k); err != nil {
			return err
		}
	}
	if more {
		return remains.Put(tx, &r)
	}
	return remains.Delete(tx, fsm.Scope(r.Tenant), fsm.K(r.Group, r.User))
}

// Sweep removes memberships that deleted users and groups have left behind. It
// writes nothing when there are none; a duty calls it now and then.
func Sweep(ctx context.Context, db *fsm.DB) error {
	for {
		var next *remain
		err := db.View(ctx, func(tx *fsm.Tx) error {
			for r, err := range remains.ListAll(tx) {
				next = r
				return err
			}
			return nil
		})
		if err != nil || next == nil {
			return err
		}
		err = db.Update(ctx, func(tx *fsm.Tx) error { return leaveBehind(tx, *next) })
		if err != nil {
			return fmt.Errorf("sweep memberships: %w", err)
		}
	}
}

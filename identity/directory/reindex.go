package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// How many users Reindex looks at, and writes, in one transaction.
const (
	maxReindexed = 1000
	maxRewritten = 50 // of some 3 KiB if they have all that they may
)

// A reindexing says when Reindex had last been through.
type reindexing struct {
	Since uint64 `cbor:"1,keyasint,omitempty"`
}

var reindexings = fsm.NewTable(39, "user_reindexing", fsm.Spec[reindexing]{Key: func(*reindexing) fsm.Key { return fsm.K("") }})

// Reindex writes users again whom an older release has written, who are not in every index of this one.
// announced gives another number after every change of a member's release: it goes through all users once
// for each, so those are found whom an older member wrote meanwhile. Between its parts it rests as long as the last one
// took, so that those who sign in have at least half of the time, until ctx ends; whoever leads next begins anew.
func Reindex(ctx context.Context, db *fsm.DB, announced func(context.Context) (uint64, error)) error {
	since, err := announced(ctx)
	if err != nil {
		return err
	}
	all, err := unseen(ctx, db, since)
	if err != nil || all == nil {
		return err
	}
	after := ""
	err = paced(ctx, func() (more bool, err error) {
		if after, err = reindex(ctx, db, all[0], after); after == "" {
			all = all[1:]
		}
		return len(all) > 0, err
	})
	if err != nil {
		return fmt.Errorf("index of users: %w", err)
	}
	return db.Update(ctx, func(tx *fsm.Tx) error { return reindexings.Put(tx, &reindexing{since}) })
}

// unseen returns the IDs of all tenants unless Reindex has been through them since.
func unseen(ctx context.Context, db *fsm.DB, since uint64) (all []string, err error) {
	err = db.View(ctx, func(tx *fsm.Tx) error {
		done, err := reindexings.Get(tx, fsm.Global, fsm.K(""))
		if err == nil && done.Since == since {
			return nil
		}
		if err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return err
		}
		for t, err := range tenants.List(tx, fsm.Global) {
			if err != nil {
				return err
			}
			all = append(all, t.ID)
		}
		return nil
	})
	return all, err
}

// Tidy is Sweep and Reindex, as a duty wants them.
func Tidy(ctx context.Context, db *fsm.DB, announced func(context.Context) (uint64, error)) error {
	return errors.Join(Sweep(ctx, db), Reindex(ctx, db, announced))
}

// paced does one part after the other while there are more, and rests after each as long as it took.
func paced(ctx context.Context, part func() (more bool, err error)) error {
	for {
		begun := time.Now()
		more, err := part()
		if err != nil || !more {
			return err
		}
		select {
		case <-time.After(time.Since(begun)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reindex writes those again of the next users of a tenant who are not in every index, and returns where to go on; "": nowhere.
func reindex(ctx context.Context, db *fsm.DB, tenant, after string) (next string, err error) {
	missing, next, err := unindexed(ctx, db, tenant, after)
	if err == nil && len(missing) > 0 {
		err = db.Update(ctx, func(tx *fsm.Tx) error { return rewrite(tx, tenant, missing) })
	}
	return next, err
}

// unindexed returns the IDs of those among the next users of a tenant who are not in every index, and
// where to go on; "": nowhere.
func unindexed(ctx context.Context, db *fsm.DB, tenant, after string) (missing []string, next string, err error) {
	err = db.View(ctx, func(tx *fsm.Tx) error {
		seen := 0
		missing, next = nil, ""
		for u, err := range users.List(tx, fsm.Scope(tenant), fsm.After(after)) {
			if err != nil {
				return err
			}
			is, err := users.Indexed(tx, u)
			if err != nil {
				return err
			}
			if !is {
				missing = append(missing, u.ID)
			}
			if seen++; seen == maxReindexed || len(missing) == maxRewritten {
				next = users.Cursor(u)
				return nil
			}
		}
		return nil
	})
	return missing, next, err
}

func rewrite(tx *fsm.Tx, tenant string, ids []string) error {
	for _, id := range ids {
		u, err := users.Get(tx, fsm.Scope(tenant), fsm.K(id))
		if err == nil {
			err = users.Put(tx, u)
		}
		if err != nil && !errors.Is(err, fsm.ErrNotFound) { // gone since
			return err
		}
	}
	return nil
}

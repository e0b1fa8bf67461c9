package event

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// An Anchor is an end of the journal that an auditor has noted: the link of its
// last event covers that event and every one before it.
type Anchor struct {
	Count    uint64 // events up to and with this one
	Position fsm.JournalPosition
	Link     [32]byte
}

// String returns the anchor in one word, to be kept outside the cluster.
func (a Anchor) String() string {
	return fmt.Sprintf("%d:%s:%s", a.Count, a.Position, hex.EncodeToString(a.Link[:]))
}

// ParseAnchor reads what String wrote; else it reports identity.ErrInvalid.
func ParseAnchor(s string) (a Anchor, err error) {
	parts := strings.Split(s, ":")
	bad := identity.Invalid("anchor", "is not an anchor as audit verify prints it")
	if len(s) > 160 || len(parts) != 3 {
		return a, bad
	}
	if a.Count, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return a, bad
	}
	if a.Position, err = fsm.ParseJournalPosition(parts[1]); err != nil {
		return Anchor{}, bad
	}
	link, err := hex.DecodeString(parts[2])
	if err != nil || len(link) != len(a.Link) {
		return Anchor{}, bad
	}
	a.Link = [32]byte(link)
	if a.String() != s {
		return Anchor{}, bad
	}
	return a, nil
}

// Verify recomputes the whole chain on this node and returns where it ends. It
// reports fsm.ErrCorrupt, naming the first event that does not fit.
//
// The chain alone proves that nobody changed or removed a part of it; whoever can
// rewrite the store can rewrite it all, consistently. Against that an auditor
// keeps the anchor elsewhere and uses VerifyAgainst.
func Verify(ctx context.Context, db *fsm.DB) (Anchor, error) {
	return VerifyAgainst(ctx, db, Anchor{})
}

// VerifyAgainst is Verify, and proves that the journal still begins with what
// noted stood for. It reports fsm.ErrCorrupt if not. The zero Anchor stands for nothing.
func VerifyAgainst(ctx context.Context, db *fsm.DB, noted Anchor) (head Anchor, err error) {
	err = db.View(ctx, func(tx *fsm.Tx) error {
		h, err := journal.Verify(tx)
		head = Anchor{Count: h.Count, Position: h.Position, Link: h.Link}
		if err != nil || noted.Count == 0 {
			return err
		}
		return begins(tx, noted)
	})
	if err != nil {
		return head, fmt.Errorf("verify events: %w", err)
	}
	return head, nil
}

// begins checks one link of a chain that Verify has just recomputed.
func begins(tx *fsm.Tx, noted Anchor) error {
	var count uint64
	for e, err := range journal.List(tx, fsm.JournalPosition{}) {
		if err != nil {
			return err
		}
		if count++; count < noted.Count {
			continue
		}
		if e.Position != noted.Position || e.Link != noted.Link {
			return fmt.Errorf("event %d is not the one that was noted: %w", count, fsm.ErrCorrupt)
		}
		return nil
	}
	return fmt.Errorf("%d events found, %d had been noted: %w", count, noted.Count, fsm.ErrCorrupt)
}

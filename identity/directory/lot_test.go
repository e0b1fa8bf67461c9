package directory_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// TestDrawsAreEven: whatever half of the users there is, about half of the draws fall on it, on every
// node the same; nobody is drawn who is in another tenant or gone.
func TestDrawsAreEven(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	at := func(node, i int) (id string) {
		t.Helper()
		view(t, c.DB[node], func(tx *fsm.Tx) (err error) {
			id, err = directory.UserAt(tx, ten, directory.Lot(binary.BigEndian.AppendUint64(nil, uint64(i)<<54))) // 1024 all around
			return err
		})
		return id
	}
	if id := at(0, 5); id != "" {
		t.Errorf("nobody is there, drawn: %s", id)
	}
	early := map[string]bool{}
	for i := range 100 {
		u := create(t, c.DB[0], directory.User{Username: fmt.Sprint("user", i)})
		early[u.ID] = i < 50
	}
	n, last := 0, at(0, 1023)
	for i := range 1024 {
		id := at(i%2, i)
		if half, there := early[id]; !there {
			t.Fatalf("drawn: %q", id)
		} else if half {
			n++
		}
	}
	if n < 300 || n > 724 { // four standard deviations, as far apart as chance puts the users
		t.Errorf("%d of 1024 draws fall on those who came first, who are half", n)
	}
	update(t, c.DB[0], func(tx *fsm.Tx) error { return directory.DeleteUser(tx, ten, last, 0) })
	if id := at(0, 1023); id == last || id == "" {
		t.Errorf("drawn: %q, whom %q was before", id, last)
	}
}

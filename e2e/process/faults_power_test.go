package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/faultfs"
)

// newWeakTrio founds a cluster on disks that can fail, or returns nil where there can
// be none.
func newWeakTrio(t *testing.T) *trio {
	t.Helper()
	var disks []*faultfs.FS
	var dirs []string
	for range 3 {
		disk, at := faultfs.Mount(t)
		if disk == nil {
			return nil
		}
		// Whoever installs a node has made its directory long before.
		dir := filepath.Join(at, "data")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(at)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		f.Close()
		disks, dirs = append(disks, disk), append(dirs, dir)
	}
	return newTrio(t, disks, dirs)
}

// powerFaults are those of disks.
func powerFaults() []fault {
	return []fault{
		{name: "power loss of the leader", campaign: "power", disk: true, strike: powerLoss(0)},
		{name: "power loss of one", campaign: "power", disk: true, most: 200 * time.Millisecond, strike: powerLoss(1)},
		{name: "power loss of two at once", campaign: "power", disk: true, total: true, most: 200 * time.Millisecond, strike: powerLoss(2)},
		{name: "power loss of all three at once", campaign: "power", disk: true, total: true, most: 100 * time.Millisecond, strike: powerLoss(3)},
		{name: "disk full", campaign: "disk", disk: true, least: time.Second, most: 2 * time.Second, strike: hurt(func(*rand.Rand) faultfs.Fault {
			return faultfs.Fault{WriteErr: syscall.ENOSPC}
		})},
		{name: "disk slow, fsync 50–400 ms", campaign: "disk", disk: true, least: time.Second, most: 2 * time.Second, strike: hurt(func(rng *rand.Rand) faultfs.Fault {
			return faultfs.Fault{SyncDelay: time.Duration(50+rng.IntN(350)) * time.Millisecond}
		})},
		{name: "disk that stands still", campaign: "disk", disk: true, least: time.Second, most: 3 * time.Second, strike: hurt(func(*rand.Rand) faultfs.Fault {
			return faultfs.Fault{Hang: true}
		})},
	}
}

// powerLoss pulls the plug of n nodes, 0: of the leader. What they had not synced is
// lost, in part or altogether.
func powerLoss(n int) func(context.Context, *trio, *rand.Rand) (func(context.Context) error, string, error) {
	return func(ctx context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
		hit := some(tr, rng, max(n, 1))
		if n == 0 {
			hit[0] = tr.leaderOrAny(ctx)
		}
		diskFirst := rng.IntN(2) == 0 // either goes first: the processor or the disk
		for _, first := range []bool{true, false} {
			for _, i := range hit {
				if first == diskFirst {
					tr.node(i).off = !tr.ended(i)
					tr.disks[i-1].PowerCut(rng.Uint64())
				} else {
					tr.signal(i, syscall.SIGKILL)
				}
			}
			if first != diskFirst {
				for _, i := range hit {
					<-tr.node(i).done
				}
			}
		}
		return func(context.Context) error {
			for _, i := range hit {
				tr.disks[i-1].PowerOn()
				tr.launch(i)
			}
			return nil
		}, fmt.Sprint("nodes ", hit), nil
	}
}

// hurt makes the disk of one node bad.
func hurt(how func(*rand.Rand) faultfs.Fault) func(context.Context, *trio, *rand.Rand) (func(context.Context) error, string, error) {
	return func(_ context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
		i := some(tr, rng, 1)[0]
		tr.disks[i-1].Set(how(rng))
		return func(context.Context) error {
			tr.disks[i-1].Set(faultfs.Fault{})
			return nil
		}, fmt.Sprint("node ", i), nil
	}
}

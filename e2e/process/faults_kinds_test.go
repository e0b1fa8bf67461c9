package process

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"time"
)

// A fault is one way to hurt a trio.
type fault struct {
	name     string
	campaign string // the one that it belongs to
	network  bool   // needs hosts of their own
	total    bool   // nobody can write until it is healed
	disk     bool   // needs disks that can fail; a node may end because of it
	alone    bool   // makes no sense together with another
	long     bool   // only in a soak
	// hold is how long it lasts at least and at most; the end of a fault that is not
	// total waits for the next write, too.
	least, most time.Duration
	// strike injects it and returns what heals it, and what was hit.
	strike func(ctx context.Context, tr *trio, rng *rand.Rand) (heal func(ctx context.Context) error, what string, err error)
}

// faults are all of them; those of disks are in faults_power_test.go.
func faults() []fault {
	return append([]fault{
		{name: "kill -9 of the leader", campaign: "kill", strike: killLeader},
		{name: "kill -9 of one", campaign: "kill", most: 200 * time.Millisecond, strike: kill(1)},
		{name: "kill -9 of two at once", campaign: "kill", most: 300 * time.Millisecond, total: true, strike: kill(2)},
		{name: "kill -9 of all three at once", campaign: "kill", most: 300 * time.Millisecond, total: true, strike: kill(3)},
		{name: "kill -9 during an orderly stop", campaign: "kill", most: 200 * time.Millisecond, strike: killStopping},
		{name: "kill -9 right after the start", campaign: "kill", most: 100 * time.Millisecond, strike: killStarting},

		{name: "SIGSTOP of the leader", campaign: "stop", least: 200 * time.Millisecond, most: 2 * time.Second, strike: freezeLeader},
		{name: "SIGSTOP of one", campaign: "stop", least: 100 * time.Millisecond, most: 3 * time.Second, strike: freeze(1)},
		{name: "SIGSTOP of two at once", campaign: "stop", least: 100 * time.Millisecond, most: 2 * time.Second, total: true, strike: freeze(2)},
		{name: "SIGSTOP of one for a minute or two", campaign: "stop", long: true, least: time.Minute, most: 2 * time.Minute, strike: freeze(1)},

		{name: "the leader cut off", campaign: "partition", network: true, least: 500 * time.Millisecond, most: 2 * time.Second, strike: isolateLeader},
		{name: "one node cut off", campaign: "partition", network: true, least: 300 * time.Millisecond, most: 2 * time.Second, strike: isolate},
		{name: "every node cut off", campaign: "partition", network: true, total: true, least: 300 * time.Millisecond, most: 1500 * time.Millisecond, strike: isolateAll},
		{name: "bridge: two see only the third", campaign: "partition", network: true, least: 500 * time.Millisecond, most: 2 * time.Second, strike: bridge},
		{name: "asymmetric: the leader is heard, not reached", campaign: "partition", network: true, least: 500 * time.Millisecond, most: 2 * time.Second, strike: deaf},
		{name: "asymmetric: one direction of one link", campaign: "partition", network: true, least: 500 * time.Millisecond, most: 2 * time.Second, strike: oneWay},
		{name: "1–30 % of the packets lost", campaign: "partition", network: true, least: time.Second, most: 3 * time.Second, strike: lose},

		{name: "leadership handed on and on", campaign: "member", alone: true, least: 300 * time.Millisecond, most: time.Second, strike: storm},
		{name: "a node removed, wiped, and back", campaign: "member", alone: true, strike: replace},
		{name: "a node wiped while others sign in", campaign: "member", strike: wipe},
	}, powerFaults()...)
}

func killLeader(ctx context.Context, tr *trio, _ *rand.Rand) (func(context.Context) error, string, error) {
	i := tr.leaderOrAny(ctx)
	tr.node(i).kill()
	return relaunch(tr, i), fmt.Sprint("node ", i), nil
}

func kill(n int) func(context.Context, *trio, *rand.Rand) (func(context.Context) error, string, error) {
	return func(_ context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
		hit := some(tr, rng, n)
		for _, i := range hit { // first all signals, then the waiting
			tr.signal(i, syscall.SIGKILL)
		}
		for _, i := range hit {
			<-tr.node(i).done
		}
		return relaunch(tr, hit...), fmt.Sprint("nodes ", hit), nil
	}
}

// killStopping asks a node to stop and kills it while it hands over and flushes.
func killStopping(ctx context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
	i := some(tr, rng, 1)[0]
	tr.signal(i, syscall.SIGTERM)
	pause(ctx, time.Duration(rng.IntN(150))*time.Millisecond)
	tr.node(i).kill()
	return relaunch(tr, i), fmt.Sprint("node ", i), nil
}

// killStarting kills a node, and again while it replays its log and looks for the others.
func killStarting(ctx context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
	i := some(tr, rng, 1)[0]
	tr.node(i).kill()
	for range 2 {
		tr.launch(i)
		pause(ctx, time.Duration(rng.IntN(150))*time.Millisecond)
		tr.node(i).kill()
	}
	return relaunch(tr, i), fmt.Sprint("node ", i), nil
}

func relaunch(tr *trio, hit ...int) func(context.Context) error {
	return func(context.Context) error {
		for _, i := range hit {
			tr.launch(i)
		}
		return nil
	}
}

func freezeLeader(ctx context.Context, tr *trio, _ *rand.Rand) (func(context.Context) error, string, error) {
	i := tr.leaderOrAny(ctx)
	tr.signal(i, syscall.SIGSTOP)
	return thaw(tr, i), fmt.Sprint("node ", i), nil
}

func freeze(n int) func(context.Context, *trio, *rand.Rand) (func(context.Context) error, string, error) {
	return func(_ context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
		hit := some(tr, rng, n)
		for _, i := range hit {
			tr.signal(i, syscall.SIGSTOP)
		}
		return thaw(tr, hit...), fmt.Sprint("nodes ", hit), nil
	}
}

func thaw(tr *trio, hit ...int) func(context.Context) error {
	return func(context.Context) error {
		for _, i := range hit {
			tr.signal(i, syscall.SIGCONT)
		}
		return nil
	}
}

func mend(tr *trio) func(context.Context) error {
	return func(context.Context) error { return tr.net.Heal() }
}

func isolateLeader(ctx context.Context, tr *trio, _ *rand.Rand) (func(context.Context) error, string, error) {
	i := tr.leaderOrAny(ctx)
	return mend(tr), fmt.Sprint("node ", i), tr.net.Isolate(i)
}

func isolate(_ context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
	i := some(tr, rng, 1)[0]
	return mend(tr), fmt.Sprint("node ", i), tr.net.Isolate(i)
}

func isolateAll(_ context.Context, tr *trio, _ *rand.Rand) (func(context.Context) error, string, error) {
	return mend(tr), "all", errors.Join(tr.net.Isolate(1), tr.net.Cut(2, 3))
}

func bridge(_ context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
	two := some(tr, rng, 2)
	return mend(tr), fmt.Sprint("between ", two), tr.net.Cut(two[0], two[1])
}

// deaf lets the leader speak, and hear nobody.
func deaf(ctx context.Context, tr *trio, _ *rand.Rand) (func(context.Context) error, string, error) {
	i := tr.leaderOrAny(ctx)
	return mend(tr), fmt.Sprint("to node ", i), errors.Join(tr.net.Lose(1+i%3, i, 100), tr.net.Lose(1+(i+1)%3, i, 100))
}

func oneWay(_ context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
	two := some(tr, rng, 2)
	return mend(tr), fmt.Sprintf("from %d to %d", two[0], two[1]), tr.net.Lose(two[0], two[1], 100)
}

func lose(_ context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
	percent := 1 + rng.IntN(30)
	var errs []error
	for from := 1; from <= 3; from++ {
		for to := 1; to <= 3; to++ {
			if from != to {
				errs = append(errs, tr.net.Lose(from, to, percent))
			}
		}
	}
	return mend(tr), fmt.Sprintf("%d %%", percent), errors.Join(errs...)
}

// storm hands leadership on as fast as the nodes do it.
func storm(ctx context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
	n := 3 + rng.IntN(6)
	done := 0
	for range n {
		limited, cancel := context.WithTimeout(ctx, 3*time.Second)
		i, err := tr.leader(limited)
		if err == nil && tr.admin(limited, i, http.MethodPost, "/cluster/transfer", nil, nil) == nil {
			done++
		}
		cancel()
		pause(ctx, time.Duration(rng.IntN(80))*time.Millisecond)
	}
	if done == 0 {
		return nil, "", fmt.Errorf("none of %d transfers was made", n)
	}
	return func(context.Context) error { return nil }, fmt.Sprintf("%d times", done), nil
}

// wipe takes everything from a node, which must come back to a voter by itself.
func wipe(_ context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
	i := some(tr, rng, 1)[0]
	tr.node(i).kill()
	return relaunch(tr, i), fmt.Sprint("node ", i), tr.wipe(i)
}

// replace removes a node as an operator does before the new one comes.
func replace(ctx context.Context, tr *trio, rng *rand.Rand) (func(context.Context) error, string, error) {
	i := some(tr, rng, 1)[0]
	tr.node(i).kill()
	if err := tr.wipe(i); err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for n := 0; ; n++ {
		via := 1 + (i+n%2)%3
		err := tr.admin(ctx, via, http.MethodDelete, fmt.Sprintf("/cluster/members/node-%d?force=true", i), nil, nil)
		if code, _ := status(err); err == nil || code == http.StatusNotFound {
			return relaunch(tr, i), fmt.Sprint("node ", i), nil
		}
		if perr := pause(ctx, 50*time.Millisecond); perr != nil {
			return relaunch(tr, i), "", fmt.Errorf("remove node %d: %w", i, err)
		}
	}
}

// some chooses n nodes.
func some(tr *trio, rng *rand.Rand, n int) []int {
	hit := rng.Perm(len(tr.servers))[:n]
	for i := range hit {
		hit[i]++
	}
	return hit
}

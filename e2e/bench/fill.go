package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
)

// fillEnv carries an order to this program's own child, which is a whole node of a
// house and fills the cluster when it leads.
const fillEnv = "QUIS_BENCH_FILL"

// An order says up to how much the cluster shall hold.
type order struct {
	Config         string
	Users, Groups  int // so many more than there are
	Members        int // of each group
	Sessions       int
	FirstUser      int // number of the first new user
	WritesFor      time.Duration
	SnapshotMetric string // URL to read while writing
}

// Rows is everything that an order adds.
func (o *order) rows() int { return o.Users + o.Groups + o.Groups*o.Members + o.Sessions }

// filled is what a child reports, again and again.
type filled struct {
	Rows   int
	Done   bool
	Took   time.Duration
	During writeResult // while the store was made durable
	Else   writeResult
}

// fill runs every node of the house as a child that can fill, and shows how far it is.
func (h *house) fill(ctx context.Context, o order, bar func(done, total int)) (filled, error) {
	self, err := os.Executable()
	if err != nil {
		return filled{}, err
	}
	reports := make(chan filled, 64)
	for _, n := range h.nodes {
		o.Config, o.SnapshotMetric = n.config, n.operations
		b, err := json.Marshal(o)
		if err != nil {
			return filled{}, err
		}
		cmd := exec.Command(self)
		out, err := cmd.StdoutPipe()
		if err != nil {
			return filled{}, err
		}
		if err := n.run(cmd, append(h.env(), fillEnv+"="+string(b))); err != nil {
			return filled{}, err
		}
		go func() {
			for d := json.NewDecoder(out); ; {
				var f filled
				if d.Decode(&f) != nil {
					return
				}
				reports <- f
			}
		}()
	}
	for {
		select {
		case f := <-reports:
			bar(f.Rows, o.rows())
			if f.Done {
				return f, h.stop()
			}
		case <-h.nodes[0].done:
			return filled{}, errors.Join(fmt.Errorf("a node that was being filled ended:\n%s", h.nodes[0].out.String()), h.stop())
		case <-ctx.Done():
			return filled{}, errors.Join(ctx.Err(), h.stop())
		}
	}
}

// run is the child.
func (o *order) run() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "QUIS_BENCH") })
	config, err := daemon.Load(daemon.Source{File: o.Config, Env: env})
	if err != nil {
		return err
	}
	node, err := daemon.Start(ctx, config)
	if err != nil {
		return err
	}
	defer node.Stop(context.WithoutCancel(ctx))
	term, err := node.Cluster().Lead(ctx)
	if err != nil {
		return nil // another node led until the end
	}
	for term.Err() == nil && node.Ready(term) != nil {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-term.Done():
		}
	}
	if err := o.fillUp(term, node.DB(), config.RootKeyFile); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// A filler is the child that leads.
type filler struct {
	*order
	db       *fsm.DB
	sessions *session.Store
	users    []string // IDs
	groups   []string
	rows     atomic.Int64
}

func (o *order) fillUp(ctx context.Context, db *fsm.DB, keyFile string) error {
	root, err := seal.LoadRootKey(keyFile, "")
	if err != nil {
		return err
	}
	ring, err := seal.OpenRing(ctx, db, root)
	if err != nil {
		return err
	}
	f := &filler{order: o, db: db, sessions: session.NewStore(session.Config{DB: db, Ring: ring}), users: make([]string, o.Users), groups: make([]string, o.Groups)}
	began := time.Now()
	reporting, stop := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() {
		for reporting.Err() == nil {
			_ = json.NewEncoder(os.Stdout).Encode(filled{Rows: int(f.rows.Load())}) // a parent that is gone has killed us
			select {
			case <-time.After(500 * time.Millisecond):
			case <-reporting.Done():
			}
		}
	})
	err = f.all(ctx)
	stop()
	told.Wait()
	if err != nil {
		return err
	}
	done := filled{Rows: o.rows(), Done: true, Took: time.Since(began)}
	if o.WritesFor > 0 {
		done.During, done.Else = f.write(ctx)
	}
	return json.NewEncoder(os.Stdout).Encode(done)
}

func (f *filler) all(ctx context.Context) error {
	const tenant = identity.DefaultTenant
	steps := []struct {
		n, chunk int
		row      func(tx *fsm.Tx, i int) error
	}{
		{f.Users, 40, func(tx *fsm.Tx, i int) error {
			name := fmt.Sprintf("person%08d", f.FirstUser+i)
			u, err := directory.CreateUser(tx, tenant, directory.User{Username: name, Email: name + "@example.com", Name: "Person Number " + strconv.Itoa(i), GivenName: "Person", FamilyName: "Number"})
			if err == nil {
				f.users[i] = u.ID
			}
			return err
		}},
		{f.Groups, 40, func(tx *fsm.Tx, i int) error {
			g, err := directory.CreateGroup(tx, tenant, directory.Group{Name: fmt.Sprintf("group%08d", f.FirstUser+i)})
			if err == nil {
				f.groups[i] = g.ID
			}
			return err
		}},
		{f.Groups * f.Members, 40, func(tx *fsm.Tx, i int) error {
			// members of one group are far apart, so that its chunks do not meet in a user
			return directory.AddMember(tx, tenant, f.groups[i/f.Members], f.users[(i*7919)%f.Users])
		}},
		{f.Sessions, 100, func(tx *fsm.Tx, i int) error {
			_, err := f.sessions.Start(tx, session.Session{Tenant: tenant, UserID: f.users[i%f.Users], AMR: []string{"pwd"}, ACR: "1"})
			return err
		}},
	}
	for _, s := range steps {
		if err := f.spread(ctx, s.n, s.chunk, s.row); err != nil {
			return err
		}
	}
	return nil
}

// spread makes n rows, chunk of them in a transaction, by several goroutines.
func (f *filler) spread(ctx context.Context, n, chunk int, row func(tx *fsm.Tx, i int) error) error {
	const workers = 48
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for errs[w] == nil && ctx.Err() == nil {
				from := int(next.Add(int64(chunk))) - chunk
				if from >= n {
					return
				}
				to := min(from+chunk, n)
				errs[w] = f.db.Update(ctx, func(tx *fsm.Tx) error {
					for i := from; i < to; i++ {
						if err := row(tx, i); err != nil {
							return err
						}
					}
					return nil
				})
				f.rows.Add(int64(to - from))
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// write lets sessions begin for a while and tells the writes that met a flush of
// the store from the others.
func (f *filler) write(ctx context.Context) (during, others writeResult) {
	type call struct{ at, took time.Duration }
	const workers = 32
	began := time.Now()
	calls := make([][]call, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; time.Since(began) < f.WritesFor && ctx.Err() == nil; i += workers {
				at := time.Now()
				err := f.db.Update(ctx, func(tx *fsm.Tx) error {
					_, err := f.sessions.Start(tx, session.Session{Tenant: identity.DefaultTenant, UserID: "usr_" + strconv.Itoa(i), AMR: []string{"pwd"}, ACR: "1"})
					return err
				})
				if err == nil {
					calls[w] = append(calls[w], call{at.Sub(began), time.Since(at)})
				}
			}
		})
	}
	var flushes []time.Duration // when one was seen to have ended
	for last := -1.0; time.Since(began) < f.WritesFor; {
		if v, err := testbed.Sample(ctx, f.SnapshotMetric, "quis_snapshot_last_success_timestamp_seconds"); err == nil && v != last {
			if last >= 0 {
				flushes = append(flushes, time.Since(began))
			}
			last = v
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	wg.Wait()
	var near, far []time.Duration
	for _, c := range slices.Concat(calls...) {
		if slices.ContainsFunc(flushes, func(end time.Duration) bool { return c.at < end && c.at+c.took > end-time.Second }) {
			near = append(near, c.took)
		} else {
			far = append(far, c.took)
		}
	}
	return summary(near, time.Since(began)), summary(far, time.Since(began))
}

func summary(took []time.Duration, elapsed time.Duration) writeResult {
	r := writeResult{Writes: len(took), Elapsed: elapsed}
	slices.Sort(took)
	if len(took) > 0 {
		r.P50, r.P99 = took[len(took)/2], took[len(took)*99/100]
	}
	return r
}

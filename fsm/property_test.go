package fsm_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quis-idp/quis/fsm"
)

// A simulation is several replicas of one log that apply at different speed and in
// different groups, transactions that ran on stale snapshots of them, and a model
// that follows the log. Replica 0 applies each entry at once and alone.
type simulation struct {
	t        *rapid.T
	clock    time.Time
	log      []fsm.Entry
	verdicts [][]fsm.Verdict
	replicas []*fsm.DB
	pending  []proposal
	decided  []proposal
	states   []*model // after each log entry, states[0] before the first
	times    []time.Time
}

// A proposal is what a transaction left: its batch and what it had seen.
type proposal struct {
	program []step
	trace   []string
	begun   time.Time
	batch   []byte
	verdict fsm.Verdict
}

func (s *simulation) open() *fsm.DB {
	db, err := fsm.Open(fsm.Config{Dir: "/store", FS: vfs.NewMem(), Schema: schema, Now: func() time.Time { return s.clock }, HashEvery: 3})
	if err != nil {
		s.t.Fatal(err)
	}
	return db
}

// run executes a program on a replica and keeps its batch for later.
func (s *simulation) run(t *rapid.T) {
	db := rapid.SampledFrom(s.replicas).Draw(t, "replica")
	p := proposal{program: rapid.SliceOfN(steps, 1, 8).Draw(t, "program")}
	log := &captureLog{}
	db.SetLog(log)
	err := db.Update(context.Background(), func(tx *fsm.Tx) (err error) {
		p.begun = tx.Now()
		p.trace, err = run(storeWorld{tx}, p.program)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(log.batches) == 1 {
		p.batch = log.batches[0]
		s.pending = append(s.pending, p)
	}
}

func (s *simulation) purge(t *rapid.T) {
	db, log := rapid.SampledFrom(s.replicas).Draw(t, "replica"), &captureLog{}
	db.SetLog(log)
	if _, err := db.Purge(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, b := range log.batches {
		s.pending = append(s.pending, proposal{begun: s.clock, batch: b})
	}
}

// commit packs some of what is pending, and perhaps something sent before, into an entry.
func (s *simulation) commit(t *rapid.T) {
	n := rapid.IntRange(0, len(s.pending)).Draw(t, "batches")
	now := rapid.Permutation(s.pending).Draw(t, "order")
	now, s.pending = now[:n], now[n:]
	for _, p := range s.decided {
		if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
			now = append(now, p)
		}
	}
	if len(now) > 1 && rapid.Bool().Draw(t, "twice") {
		now = append(now, now[0])
	}
	e := fsm.Entry{Index: uint64(len(s.log)) + 1, Term: 1}
	if rapid.IntRange(0, 19).Draw(t, "configuration") == 0 {
		e.Config, now = []byte(fmt.Sprint("members at ", e.Index)), nil
	} else {
		var batches [][]byte
		for _, p := range now {
			batches = append(batches, p.batch)
		}
		e.Data = fsm.EncodeEntry(s.clock, batches)
	}
	s.log = append(s.log, e)
	v, err := s.replicas[0].Apply([]fsm.Entry{e})
	if err != nil {
		t.Fatal(err)
	}
	s.verdicts = append(s.verdicts, v[0])
	s.follow(t, now, v[0])
}

// follow does to the model what the verdicts say, and checks that each transaction
// that was applied would have seen the same had it run alone, now, at one instant.
func (s *simulation) follow(t *rapid.T, now []proposal, verdicts []fsm.Verdict) {
	m := s.states[len(s.states)-1].clone()
	at := s.replicas[0].Position().Time
	for i, p := range now {
		if first := slices.IndexFunc(s.decided, func(d proposal) bool { return bytes.Equal(d.batch, p.batch) }); first >= 0 {
			if late := at.Sub(p.begun) > 15*time.Second; verdicts[i] != s.decided[first].verdict && !(late && verdicts[i] == fsm.Late) {
				t.Fatalf("a batch sent again gets %v, first %v", verdicts[i], s.decided[first].verdict)
			}
			continue
		}
		if p.verdict = verdicts[i]; p.verdict != fsm.Late {
			s.decided = append(s.decided, p)
		}
		if p.verdict != fsm.Applied {
			continue
		}
		trace, err := run(newModelWorld(m, at, p.begun), p.program)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(trace, p.trace); diff != "" {
			t.Fatalf("not serializable: program %+v\nmodel -, store +\n%s", p.program, diff)
		}
	}
	s.states, s.times = append(s.states, m), append(s.times, at)
}

func (s *simulation) tick(t *rapid.T) {
	s.clock = s.clock.Add(time.Duration(rapid.IntRange(-2000, 12000).Draw(t, "ms")) * time.Millisecond)
}

// catchUp lets a replica apply some more of the log in one go.
func (s *simulation) catchUp(t *rapid.T) {
	db := rapid.SampledFrom(s.replicas).Draw(t, "replica")
	behind := len(s.log) - int(db.Position().Index)
	s.apply(t, db, rapid.IntRange(0, behind).Draw(t, "entries"))
}

func (s *simulation) apply(t *rapid.T, db *fsm.DB, n int) {
	at := int(db.Position().Index)
	from := max(0, at-1) // one that it has already, as after a restart
	v, err := db.Apply(s.log[from : at+n])
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v[at-from:], s.verdicts[at:at+n]; !slices.EqualFunc(got, want, slices.Equal) {
		t.Fatalf("after %d: verdicts %v, on the first replica %v", at, got, want)
	}
}

// install puts a snapshot of one replica onto another that is behind it.
func (s *simulation) install(t *rapid.T) {
	from, to := rapid.SampledFrom(s.replicas).Draw(t, "from"), rapid.SampledFrom(s.replicas).Draw(t, "to")
	if from.Position().Index <= to.Position().Index {
		return
	}
	st, err := from.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var b bytes.Buffer
	if _, err := st.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if err := to.Restore(&b); err != nil {
		t.Fatal(err)
	}
}

// look compares what a View of a replica shows with the model at its index.
func (s *simulation) look(t *rapid.T, db *fsm.DB) {
	err := db.View(context.Background(), func(tx *fsm.Tx) error {
		m := s.states[tx.Index()].clone()
		everything := []step{{Op: "all", Limit: 99}, {Op: "all", Limit: 99, Reverse: true}, {Op: "byName", Name: "N"}, {Op: "byName", Name: "M"}}
		for _, v := range []string{"red", "blue", "red/dark"} {
			everything = append(everything, step{Op: "byTag", Tag: v, Limit: 99})
		}
		for _, v := range []string{"a", "b", "c", "d"} {
			everything = append(everything, step{Op: "get", ID: v}, step{Op: "count", ID: v})
		}
		got, err := run(storeWorld{tx}, everything)
		if err != nil {
			return err
		}
		want, err := run(newModelWorld(m, tx.Now(), tx.Now()), everything)
		if err != nil {
			return err
		}
		for e, err := range notes.ListScope(tx, "scope", fsm.JournalPosition{}, false) {
			if err != nil {
				return err
			}
			got = append(got, *e.Value)
		}
		if diff := cmp.Diff(append(want, m.notes...), got); diff != "" {
			t.Fatalf("at %d: model -, store +\n%s", tx.Index(), diff)
		}
		_, err = notes.Verify(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Random transactions on lagging replicas, their batches coalesced, repeated and
// applied in different groups, with snapshots installed in between: what was
// committed is a serial history in the order of the log, every replica shows a
// prefix of it, and all end in the same bytes.
func TestHistoryIsSerialAndReplicasAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &simulation{t: t, clock: time.UnixMilli(1_700_000_000_000), times: []time.Time{{}}}
		s.states = []*model{{rows: map[string]link{}, counts: map[string]int64{}}}
		for range 3 {
			s.replicas = append(s.replicas, s.open())
		}
		defer func() {
			for _, db := range s.replicas {
				db.Close()
			}
		}()
		t.Repeat(map[string]func(*rapid.T){
			"run":     s.run,
			"run too": s.run,
			"commit":  s.commit,
			"purge":   s.purge,
			"catchUp": s.catchUp,
			"install": s.install,
			"tick":    s.tick,
			"tock":    s.tick,
			"look":    func(t *rapid.T) { s.look(t, rapid.SampledFrom(s.replicas).Draw(t, "replica")) },
		})
		s.settle(t)
	})
}

func (s *simulation) settle(t *rapid.T) {
	s.replicas = append(s.replicas, s.open()) // one that replays everything
	var want fsm.Position
	var wantHash [32]byte
	for i, db := range s.replicas {
		s.apply(t, db, len(s.log)-int(db.Position().Index))
		s.look(t, db)
		_, hash, err := db.StateHash()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want, wantHash = db.Position(), hash
		}
		if diff := cmp.Diff(want, db.Position()); diff != "" || hash != wantHash {
			t.Fatalf("replica %d has diverged: same bytes %v\n%s", i, hash == wantHash, diff)
		}
	}
}

package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// A finding is what an odd node was told. It is kept in a file, so that the node still
// keeps apart when it is started again before it was healed.
type finding struct {
	Index       uint64
	Mine, Right string
	Good        []string // who holds the right state
	GivenUp     bool     `json:",omitempty"`
}

func (f *finding) note() string {
	if f.GivenUp {
		return "; it came back differing every time: move this node's whole data directory away and start it again with cluster.join"
	}
	return ""
}

const (
	findingFile  = "diverged.json"
	arrivingFile = "incoming-state" // the prefix has it removed at the next start
)

func loadFinding(dir string) (*finding, error) {
	b, err := os.ReadFile(filepath.Join(dir, findingFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	f := &finding{}
	if err == nil {
		err = json.Unmarshal(b, f)
	}
	if err != nil {
		return nil, fmt.Errorf("read why this node kept apart: %w", err)
	}
	return f, nil
}

func (f *finding) store(dir string) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, findingFile)
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

type divergedRequest struct {
	Index     uint64   `cbor:"1,keyasint"`
	Yours     Sum      `cbor:"2,keyasint"`
	Right     Sum      `cbor:"3,keyasint"`
	Good      []string `cbor:"4,keyasint,omitempty"`
	Undecided string   `cbor:"5,keyasint,omitempty"`
}

func (c *Comparer) handleDiverged(_ context.Context, from wire.Peer, q *divergedRequest) (any, error) {
	if from.NodeID != c.cfg.Leader() {
		return nil, errors.New("only the leader compares")
	}
	return nil, c.diverged(q)
}

// diverged takes note of what the leader found, if this node's own hash bears it out.
func (c *Comparer) diverged(q *divergedRequest) error {
	if q.Undecided != "" {
		c.seen.Inc()
		c.log.Error("the states of the members differ and none is that of a majority: nobody can say which is right. Stop writes, compare the members, "+
			"and move the data directory of those that are wrong away, or restore a backup", "index", q.Index, "states", q.Undecided)
		return nil
	}
	made, ok := c.cfg.DB.CheckpointAt(q.Index)
	if mine := (Sum{made.Chain, made.Hash}); !ok || mine != q.Yours || mine == q.Right {
		return errors.New("that is not what this node holds")
	}
	if c.isolated.Load() != nil {
		return nil
	}
	c.seen.Inc()
	f := &finding{Index: q.Index, Mine: q.Yours.String(), Right: q.Right.String(), Good: q.Good}
	c.isolated.Store(f)
	c.log.Error("the state of this node differs from that of the majority: it keeps apart and takes the state of another",
		"index", q.Index, "sum", f.Mine, "majority_sum", f.Right, "from", q.Good)
	if err := f.store(c.cfg.DataDir); err != nil {
		c.log.Warn("not remembered that this node keeps apart", "error", err)
	}
	c.wake()
	return nil
}

const (
	healAgain    = time.Second // after a try that went wrong
	healPatience = 3           // times in healWithin that healing may be needed
	healWithin   = 10          // times Every
)

// Run heals this node whenever it has become odd, until ctx ends.
func (c *Comparer) Run(ctx context.Context) {
	for {
		select {
		case <-c.odd:
		case <-ctx.Done():
			return
		}
		f := c.isolated.Load()
		if f == nil {
			continue
		}
		c.cfg.Aside(ctx)
		if c.hopeless(f) {
			continue
		}
		for ctx.Err() == nil {
			from, err := c.heal(ctx, f)
			if err == nil {
				c.isolated.Store(nil)
				c.cfg.Back()
				c.log.Info("this node has the state of another and goes on", "from", from, "index", c.cfg.DB.Position().Index)
				break
			}
			c.log.Warn("this node keeps apart and has not got the state of another yet", "error", err)
			select {
			case <-time.After(healAgain):
			case <-ctx.Done():
			}
		}
	}
}

// hopeless says whether healing has not helped: then something else is wrong here.
func (c *Comparer) hopeless(f *finding) bool {
	now := time.Now()
	c.healed = slices.DeleteFunc(c.healed, func(t time.Time) bool { return now.Sub(t) > healWithin*c.cfg.Every })
	if len(c.healed) < healPatience {
		c.healed = append(c.healed, now)
		return false
	}
	g := *f
	g.GivenUp = true
	c.isolated.Store(&g)
	c.log.Error("the state of this node differs every time: move its whole data directory away and start it again with cluster.join", "index", f.Index)
	return true
}

// heal replaces this node's state by that of a member that has the right one.
func (c *Comparer) heal(ctx context.Context, f *finding) (from string, err error) {
	path := filepath.Join(c.cfg.DataDir, arrivingFile)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(path)) }()
	var errs []error
	for _, m := range c.cfg.Members() {
		if m.ID == c.cfg.NodeID || !slices.Contains(f.Good, m.ID) {
			continue
		}
		index, err := c.fetch(ctx, m, file)
		if err == nil {
			_, err = file.Seek(0, io.SeekStart)
		}
		if err == nil {
			err = c.cfg.Install(ctx, file, index)
		}
		if err == nil {
			return m.ID, removed(filepath.Join(c.cfg.DataDir, findingFile))
		}
		errs = append(errs, fmt.Errorf("state of %s: %w", m.ID, err))
	}
	if len(errs) == 0 {
		return "", fmt.Errorf("none of %v is a member: %w", f.Good, fsm.ErrNotFound)
	}
	return "", errors.Join(errs...)
}

func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

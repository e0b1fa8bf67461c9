package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const canaryFile = "canary"

// ErrStall is why a node ends whose disk does not answer.
var ErrStall = errors.New("the disk does not answer")

// Watch returns [ErrStall] when a write to the log, or a small one beside it, takes
// longer than limit, another error when the small one fails for another reason than
// that there is no room, and nil once quit is closed. It keeps the condition up to date.
// A leader that cannot write goes on sending heartbeats, which touch no disk, and so keeps
// its followers loyal for ever; only its falling silent lets them elect another.
func (l *Log) Watch(limit time.Duration, quit <-chan struct{}) error {
	dir := filepath.Dir(l.path)
	wrote := make(chan error, 1)
	busy := false
	var since time.Time
	tick := time.NewTicker(max(min(limit/pollPart, pollEvery), 10*time.Millisecond))
	l.space.look(nil)
	defer tick.Stop()
	for {
		select {
		case err := <-wrote:
			busy = false
			l.space.look(err)
			if err != nil && !transient(err) {
				return fmt.Errorf("write to the data directory %s: %w", dir, err)
			}
		case <-tick.C:
			now := time.Now()
			l.space.drag.look(l.oldest(now, busy, since), l.space.limits.Slow)
			if busy && now.Sub(since) > limit {
				return fmt.Errorf("%w: a small write to %s has taken %s", ErrStall, dir, now.Sub(since).Round(time.Millisecond))
			}
			if age := l.Writing(); age > limit {
				return fmt.Errorf("%w: a write to the log has taken %s", ErrStall, age.Round(time.Millisecond))
			}
			if !busy && now.Sub(since) >= limit/5 {
				busy, since = true, now
				go func() { wrote <- canary(filepath.Join(dir, canaryFile)) }()
			}
		case <-quit:
			return nil
		}
	}
}

// canary writes and syncs a few bytes.
func canary(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(time.Now().UTC().Format(time.RFC3339Nano)+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

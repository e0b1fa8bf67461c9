// Package progress shows how far something long has come: a bar with rate and estimate on
// a terminal, elsewhere a line of JSON every five seconds, for whoever reads the log.
//
// It measures bytes, and never stands in the way: what cannot be shown is not shown.
package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// A Meter shows how far something has come: a bar with rate and estimate on a
// terminal, elsewhere a line of JSON every five seconds. It counts what is written to it.
type Meter struct {
	out   io.Writer
	what  string
	bar   bool
	every time.Duration

	mu          sync.Mutex
	done, total int64 // bytes; total 0: not known
	begun, last time.Time
}

// New returns a meter of total bytes (0: not known) that shows on out. A terminal gets the bar.
func New(out io.Writer, what string, total int64) *Meter {
	p := &Meter{out: out, what: what, bar: terminal(out), every: 5 * time.Second, total: total, begun: time.Now()}
	if p.bar {
		p.every = 100 * time.Millisecond
	}
	p.last = p.begun
	return p
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Write counts b.
func (p *Meter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += int64(len(b))
	if now := time.Now(); now.Sub(p.last) >= p.every {
		p.last = now
		p.show(now)
	}
	return len(b), nil
}

// Expect says how much there will be.
func (p *Meter) Expect(total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
}

// End clears the bar.
func (p *Meter) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *Meter) show(now time.Time) {
	took := now.Sub(p.begun).Seconds()
	rate := float64(p.done) / max(took, 0.001)
	left := -1.0
	if p.total > 0 && rate > 0 {
		left = max(float64(p.total-p.done), 0) / rate
	}
	if !p.bar {
		line := map[string]any{"what": p.what, "bytes": p.done, "bytes_per_second": int64(rate), "seconds": int64(took)}
		if left >= 0 {
			line["total_bytes"], line["seconds_left"] = p.total, int64(left)
		}
		b, err := json.Marshal(line)
		if err == nil {
			fmt.Fprintln(p.out, string(b))
		}
		return
	}
	text := fmt.Sprintf("%s %s, %s/s", p.what, Size(p.done), Size(int64(rate)))
	if left >= 0 {
		const width = 24
		full := int(min(p.done, p.total) * width / p.total)
		text = fmt.Sprintf("%s [%s%s] %3d %% of %s, %s/s, %s left", p.what, strings.Repeat("=", full), strings.Repeat(" ", width-full),
			min(p.done, p.total)*100/p.total, Size(p.total), Size(int64(rate)), (time.Duration(left) * time.Second).Round(time.Second))
	}
	fmt.Fprintf(p.out, "\r%s\x1b[K", text)
}

// Size returns n bytes as people read it.
func Size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

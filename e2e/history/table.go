package history

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Row is what came of one kind of fault.
type Row struct {
	Fault      string        `json:"fault"`
	Rounds     int           `json:"rounds"`     // how often it was injected
	Operations int           `json:"operations"` // under way or made meanwhile
	Violations int           `json:"violations"`
	Outage     time.Duration `json:"longest_write_outage_ns"`
}

// A Table is what a run of a fault suite found. Its methods may be called from any goroutine.
type Table struct {
	Title string

	mu    sync.Mutex
	rows  []Row
	seeds []uint64
}

// Add adds to the row of the fault, which is made at its first.
func (t *Table) Add(r Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.rows {
		if o := &t.rows[i]; o.Fault == r.Fault {
			o.Rounds += r.Rounds
			o.Operations += r.Operations
			o.Violations += r.Violations
			o.Outage = max(o.Outage, r.Outage)
			return
		}
	}
	t.rows = append(t.rows, r)
}

// Seed notes a seed with which the run was made.
func (t *Table) Seed(s uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.seeds, s) {
		t.seeds = append(t.seeds, s)
	}
}

// Violations returns the sum over all rows.
func (t *Table) Violations() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, r := range t.rows {
		n += r.Violations
	}
	return n
}

// Markdown returns the table with its seeds for a document.
func (t *Table) Markdown() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | rounds | operations | violations | longest write outage |\n|---|--:|--:|--:|--:|\n", t.Title)
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s |\n", r.Fault, r.Rounds, r.Operations, r.Violations, r.Outage.Round(time.Millisecond))
	}
	if len(t.seeds) > 0 {
		fmt.Fprintf(&b, "\nSeeds: %s\n", strings.Trim(fmt.Sprint(t.seeds), "[]"))
	}
	return b.String()
}

// WriteJSON writes the table for a program.
func (t *Table) WriteJSON(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Title string   `json:"title"`
		Seeds []uint64 `json:"seeds"`
		Rows  []Row    `json:"rows"`
	}{t.Title, t.seeds, t.rows})
}

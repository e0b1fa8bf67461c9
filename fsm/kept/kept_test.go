package kept_test

import (
	"fmt"
	"testing"

	"github.com/quis-idp/quis/fsm/kept"
)

func TestKnownToBeMissing(t *testing.T) {
	var s kept.State
	if _, known := s.Row([]byte("a")); known {
		t.Error("an empty state knows a row")
	}
	s.KeepRow([]byte("a"), nil)
	if row, known := s.Row([]byte("a")); !known || row != nil {
		t.Errorf("got %q %v", row, known)
	}
}

func TestRowsAreCopied(t *testing.T) {
	var s kept.State
	row := []byte("row")
	s.KeepRow([]byte("a"), row)
	row[0] = 'X' // the engine's memory is used again
	if got, _ := s.Row([]byte("a")); string(got) != "row" {
		t.Errorf("got %q", got)
	}
}

// TestBounds: strangers who ask for many different things fill it, and no more.
func TestBounds(t *testing.T) {
	var s kept.State
	rows, values := 0, 0
	for i := range 3000 {
		key := fmt.Appendf(nil, "%05d", i)
		s.KeepRow(key, make([]byte, 1019))
		if _, known := s.Row(key); known {
			rows++
		}
		s.Keep(i, "value")
		if s.Value(i) != nil {
			values++
		}
	}
	if rows != 1024 || values != 1024 {
		t.Errorf("kept %d rows of 1 KiB and %d values, want 1024 of each", rows, values)
	}
}

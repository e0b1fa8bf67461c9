package figures

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

type note struct {
	Text string `cbor:"1,keyasint,omitempty"`
}

var notes = fsm.NewTable(1000, "notes", fsm.Spec[note]{Key: func(n *note) fsm.Key { return fsm.K(n.Text) }})

func TestFiguresOfAStore(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, notes)
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(New(db))
	before := values(t, reg)
	err := db.Update(t.Context(), func(tx *fsm.Tx) error { return notes.Put(tx, &note{strings.Repeat("x", 1000)}) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	after := values(t, reg)
	if len(after) != len(engine) {
		t.Errorf("%d figures, want %d", len(after), len(engine))
	}
	for _, name := range []string{"quis_store_flushes_total", "quis_store_flushed_bytes_total", "quis_store_l0_files"} {
		if after[name] <= before[name] {
			t.Errorf("%s did not grow with a flush: %v, %v", name, before[name], after[name])
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// TestClosedStore: a scrape while the node stops fails nobody.
func TestClosedStore(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, notes)
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(New(db))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(values(t, reg)); n != 0 {
		t.Errorf("%d figures of a closed store", n)
	}
}

func values(t *testing.T, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		out[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return out
}

package fsm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	streams "github.com/quis-idp/quis/fsm/stream"
)

// A stream that is whole by its checksum may still be one that no node could load, or that
// takes the cluster where it never comes back from. It is refused before anything has changed.
func TestAdoptRefusesWhatEndsACluster(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...)
	note := "note"
	if err := db.Update(t.Context(), func(tx *fsm.Tx) error { return notes.Append(tx, fsm.Global, &note) }); err != nil {
		t.Fatal(err)
	}
	good := stream(t, db)
	state := func(at int, n uint64) func(k, v []byte) {
		return func(k, v []byte) {
			if string(k) == "sa" {
				binary.BigEndian.PutUint64(v[at:], n)
			}
		}
	}
	none := func(k, v []byte) {}
	soon := uint64(time.Now().Add(time.Hour).UnixMilli())
	for name, c := range map[string]struct {
		change func(k, v []byte)
		more   [2]string
		want   error
	}{
		"as it is":                       {change: none},
		"a clock that was an hour fast":  {change: state(17, soon)},
		"a time that never comes":        {change: state(17, uint64(time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())), want: fsm.ErrRefused},
		"the last log index":             {change: state(1, ^uint64(0)-3), want: fsm.ErrCorrupt},
		"an index that overflows":        {change: state(1, ^uint64(0)), want: fsm.ErrCorrupt},
		"remembered batches cut short":   {change: none, more: [2]string{"sb1", "bad"}, want: fsm.ErrCorrupt},
		"remembered batches, odd length": {change: none, more: [2]string{"sb12345678", "0123456789"}, want: fsm.ErrCorrupt},
		"a journal's head cut short":     {change: none, more: [2]string{"sj\x00\x01", "bad"}, want: fsm.ErrCorrupt},
		"a system record without a name": {change: none, more: [2]string{"s", "x"}, want: fsm.ErrCorrupt},
		"an unknown system record":       {change: none, more: [2]string{"sz", "x"}, want: fsm.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			var forged bytes.Buffer
			w := streams.NewWriter(&forged)
			err := streams.Read(bytes.NewReader(good), func(k, v []byte) error {
				v = bytes.Clone(v)
				c.change(k, v)
				return w.Put(k, v)
			})
			if err == nil && c.more[0] != "" {
				err = w.Put([]byte(c.more[0]), []byte(c.more[1]))
			}
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Adopt(io.Discard, &forged); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

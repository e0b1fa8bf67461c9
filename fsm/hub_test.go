package fsm

import "testing"

func TestWatchersAreToldOfEveryChange(t *testing.T) {
	t.Parallel()
	db := openMem(t)
	tail, err := db.hub.Since(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	key := dataKey(1, Global, K("k"))
	_, err = db.Apply([]Entry{
		entryOf(1, newBatch(1, op{kind: opPut, key: key, expires: testTime.UnixMilli()}).encode()),
		entryOf(2, newBatch(2, op{kind: opPurge, expires: maxMillis, delta: 1}).encode()),
		entryOf(3, newBatch(3, op{kind: opAdd, key: key, delta: 1}).encode()),
		entryOf(4, newBatch(4, op{kind: opDelete, key: key}).encode()),
	})
	if err != nil {
		t.Fatal(err)
	}
	<-tail.Wake
	tail, err = db.hub.Since(0, tail.Era)
	if err != nil || len(tail.Changes) != 4 || tail.UpTo != 4 {
		t.Fatalf("got %+v, %v", tail, err)
	}
	for i, c := range tail.Changes {
		if c.Index != uint64(i+1) || c.Key != string(key) {
			t.Errorf("change %d: %+v", i, c)
		}
	}
}

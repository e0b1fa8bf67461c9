package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is what every stored entry carries in Extensions. bbolt has checksums for
// its two root pages only: without this, one flipped bit would be applied here, and
// sent to others, as if it had been agreed on.
func checksum(e *raft.Log) []byte {
	var head [17]byte
	binary.BigEndian.PutUint64(head[:], e.Index)
	binary.BigEndian.PutUint64(head[8:], e.Term)
	head[16] = byte(e.Type)
	sum := crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, e.Data)
	return binary.BigEndian.AppendUint32(nil, sum)
}

// GetLog reads one entry and checks that it is what was stored.
func (l *logStore) GetLog(index uint64, e *raft.Log) error {
	err := l.BoltStore.GetLog(index, e)
	switch {
	case errors.Is(err, raft.ErrLogNotFound):
		return err
	case err == nil && e.Index == index && bytes.Equal(e.Extensions, checksum(e)):
		return nil
	case err == nil:
		err = errors.New("it does not match its checksum")
	}
	err = fmt.Errorf("entry %d: %w", index, err)
	if l.serving.Load() { // before that, the start fails
		return l.failed("read the log", damaged(l.path, err))
	}
	return err
}

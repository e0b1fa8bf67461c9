package disk

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// The forms of a checksum, which stands in an entry's Extensions. The leader makes it
// when it stores the entry, and it goes along to the others. Logs and leaders of
// earlier releases have the old form, and none where the entry is not a command;
// earlier releases let the new form pass unread, because its length is another.
const (
	oldForm = crc32.Size     // CRC-32C of Data
	newForm = 1 + crc32.Size // formAll, CRC-32C of index, term, type and Data
	formAll = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the new form for e.
func checksum(e *raft.Log) [newForm]byte {
	var head [17]byte
	binary.BigEndian.PutUint64(head[0:], e.Index)
	binary.BigEndian.PutUint64(head[8:], e.Term)
	head[16] = byte(e.Type)
	sum := crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, e.Data)
	var c [newForm]byte
	c[0] = formAll
	binary.BigEndian.PutUint32(c[1:], sum)
	return c
}

// sign gives e the new form, unless what it came with shows that it was changed on
// its way. Forms of a release to come are left alone.
func sign(e *raft.Log) error {
	if err := check(e); err != nil {
		return err
	}
	if n := len(e.Extensions); n == 0 || n == oldForm {
		c := checksum(e)
		e.Extensions = c[:]
	}
	return nil
}

// check compares e with its checksum, as far as it has one of a form known here.
func check(e *raft.Log) error {
	good := true
	switch x := e.Extensions; {
	case len(x) == oldForm && e.Type == raft.LogCommand:
		good = binary.BigEndian.Uint32(x) == crc32.Checksum(e.Data, castagnoli)
	case len(x) == newForm && x[0] == formAll:
		good = [newForm]byte(x) == checksum(e)
	}
	if !good {
		return fmt.Errorf("entry %d fails its checksum", e.Index)
	}
	return nil
}

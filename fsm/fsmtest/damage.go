package fsmtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Damage changes one byte of a row in a store that nobody has open, without the
// engine being able to notice, as a fault of memory or of the disk might: in the first
// row that contains text, its last letter. dir is the Config.Dir of the store.
func Damage(dir, text string) (err error) {
	name, err := os.ReadFile(filepath.Join(dir, "CURRENT"))
	if err != nil {
		return err
	}
	db, err := pebble.Open(filepath.Join(dir, strings.TrimSpace(string(name))), &pebble.Options{
		DisableWAL: true, FormatMajorVersion: pebble.FormatValueSeparation, Logger: quiet{},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Flush(), db.Close()) }()
	rows, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte("d"), UpperBound: []byte("e")})
	if err != nil {
		return err
	}
	var key, value []byte
	for ok := rows.First(); ok && key == nil; ok = rows.Next() {
		if at := bytes.Index(rows.Value(), []byte(text)); at >= 0 {
			key, value = bytes.Clone(rows.Key()), bytes.Clone(rows.Value())
			value[at+len(text)-1] ^= 1
		}
	}
	if err := rows.Close(); err != nil {
		return err
	}
	if key == nil {
		return fmt.Errorf("no row in %s contains %q", dir, text)
	}
	return db.Set(key, value, pebble.NoSync)
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

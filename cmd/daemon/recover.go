package daemon

import (
	"errors"
	"log/slog"

	"github.com/quis-idp/quis/cluster/recovery"
	"github.com/quis-idp/quis/fsm"
)

// Recover opens the data directory of a node that is not running and gives it to do.
func Recover(dir string, do func(*recovery.Node) error) (err error) {
	d, err := openDataDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	db, err := fsm.Open(fsm.Config{Dir: d.file("store"), Schema: Tables(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return explainStore(dir, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	n, err := recovery.Open(dir, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	return do(n)
}

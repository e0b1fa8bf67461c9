package fsm

import "github.com/cockroachdb/pebble/v2"

// EngineMetrics returns the engine's own figures, for fsm/figures alone: nobody else
// knows the engine. They begin anew with a restore.
func (db *DB) EngineMetrics() (*pebble.Metrics, error) {
	eng, _, err := db.acquire()
	if err != nil {
		return nil, err
	}
	defer eng.release()
	return eng.db.Metrics(), nil
}

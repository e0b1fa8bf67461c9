package session

import "context"

// FlushSeen is what Run does at every tick.
func (st *Store) FlushSeen(ctx context.Context) error { return st.flush(ctx) }

// Sweep is likewise.
func (st *Store) Sweep(ctx context.Context) error { return st.sweep(ctx) }

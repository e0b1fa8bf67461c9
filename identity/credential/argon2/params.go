package argon2

// Params are the costs of a hash (RFC 9106 §3.1).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8  // lanes
}

// Bounds on any hash, ours or imported, so that no stored row can hang a node.
const (
	MaxMemory  = 256 << 10 // KiB
	maxTime    = 16
	maxThreads = 16
	maxWork    = 1 << 20 // KiB × passes: about 1.5 s
)

// Within reports whether p can be computed without harm (and at all: RFC 9106 wants 8 KiB a lane).
func (p Params) Within() bool {
	return p.Time >= 1 && p.Time <= maxTime && p.Threads >= 1 && p.Threads <= maxThreads &&
		p.Memory >= 8*uint32(p.Threads) && p.Memory <= MaxMemory && uint64(p.Memory)*uint64(p.Time) <= maxWork
}

package credential

import "github.com/quis-idp/quis/identity/credential/argon2"

// OnCompute makes p call f instead of argon2id, which f gets to call.
func (p *Pool) OnCompute(f func(real func() []byte, params Params) []byte) {
	p.compute = func(m *argon2.Memory, password, salt []byte, params Params, size int) []byte {
		return f(func() []byte { return argon2id(m, password, salt, params, size) }, params)
	}
}

// Waiting is how many callers wait.
func (p *Pool) Waiting() int64 { return p.waiting.Load() }

// ParsePHC parses and writes a hash again.
func ParsePHC(s string) (Params, string, error) {
	h, err := parsePHC(s)
	return h.Params, h.String(), err
}

// Workers is how many hashes p computes at a time.
func Workers(p *Pool) int { return cap(p.slots) }

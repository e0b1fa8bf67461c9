package credential

import "github.com/quis-idp/quis/identity/credential/argon2"

// OnCompute makes p call f instead of argon2id, which f gets to call.
func (p *Pool) OnCompute(f func(real func() []byte, params Params) []byte) {
	p.compute = func(key *[]byte, password, salt []byte, params Params, size int) step {
		return func(m *argon2.Memory) bool {
			*key = f(func() []byte { return m.Key(argon2.ID, password, salt, params, uint32(size)) }, params)
			return false
		}
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

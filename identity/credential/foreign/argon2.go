package foreign

import (
	"strings"

	"github.com/quis-idp/quis/identity/credential/argon2"
)

// parseArgon2 reads v=19$m=…,t=…,p=…$salt$key. Version 16 computes otherwise and is refused.
func parseArgon2(name string, mode argon2.Mode, s string) (*Hash, error) {
	part := strings.Split(s, "$")
	if len(part) != 4 || part[0] != "v=19" {
		return nil, ErrFormat
	}
	costs, err := named(part[1], "m", "t", "p")
	if err != nil {
		return nil, err
	}
	salt, err1 := fromB64(part[2])
	key, err2 := fromB64(part[3])
	if err1 != nil || err2 != nil {
		return nil, ErrFormat
	}
	return newArgon2(name, mode, costs["m"], costs["t"], costs["p"], salt, key)
}

func newArgon2(name string, mode argon2.Mode, memory, passes, lanes int, salt, key []byte) (*Hash, error) {
	if !sized(salt, key) {
		return nil, ErrFormat
	}
	p := argon2.Params{Memory: uint32(memory), Time: uint32(passes), Threads: uint8(min(lanes, 255))}
	if memory < 8*lanes {
		return nil, ErrFormat
	}
	if !p.Within() {
		return nil, ErrCost
	}
	return &Hash{Algorithm: name, check: equals(key, func(m *argon2.Memory, password []byte) []byte {
		return m.Key(mode, password, salt, p, uint32(len(key)))
	})}, nil
}

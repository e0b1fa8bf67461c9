package wire

import (
	"errors"
	"testing"
)

// Nodes that have changed their root key to a different degree understand each other as
// long as they have one in common, whoever calls.
func TestJoinByAnySharedRootKey(t *testing.T) {
	t.Parallel()
	a, b := JoinKey{"root-a", [32]byte{1}}, JoinKey{"root-b", [32]byte{2}}
	s := newSite(t, "c1")
	kinds := map[string][]JoinKey{"a": {a}, "ab": {a, b}, "ba": {b, a}, "b": {b}}
	ports := map[string]*Port{}
	for name, keys := range kinds {
		ports[name] = s.port("", func(c *Config) { c.JoinKeys = keys })
	}
	for from := range kinds {
		for to := range kinds {
			c, err := ports[from].DialJoin(t.Context(), ports[to].Advertise())
			if len(from) == 1 && len(to) == 1 && from != to {
				if !errors.Is(err, ErrRootKey) {
					t.Errorf("%s to %s: %v", from, to, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s to %s: %v", from, to, err)
				continue
			}
			var said string
			if err := c.Call(t.Context(), "hello", "you", &said); err != nil || said != "hello you" {
				t.Errorf("%s to %s: %q, %v", from, to, said, err)
			}
			c.Close()
		}
	}
}

package gossip

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// freeAddress returns one that is free for TCP and UDP just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func start(t *testing.T, node, cluster string, key byte) *Gossip {
	t.Helper()
	g, err := Start(Config{
		Self:   Peer{NodeID: node, Address: "addr-" + node, Version: "v1", ClusterID: cluster},
		Listen: freeAddress(t), Keys: [][32]byte{{key}}, Logger: slog.New(slog.DiscardHandler), Fast: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestPeersFindAndMissEachOther(t *testing.T) {
	t.Parallel()
	a, b, c := start(t, "a", "c1", 1), start(t, "b", "c1", 1), start(t, "c", "c1", 1)
	defer a.Close()
	defer b.Close()
	if err := b.Meet([]string{a.Address()}); err != nil {
		t.Fatal(err)
	}
	if err := c.Meet([]string{"", a.Address()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all to know all", func() bool { return b.Alive("c") && c.Alive("b") && a.Alive("b") && a.Alive("c") })
	if p, ok := b.Find("c"); !ok || p.Address != "addr-c" || p.Version != "v1" {
		t.Errorf("b knows of c: %+v", p)
	}
	if err := b.Meet([]string{a.Address()}); err != nil { // already met
		t.Error(err)
	}
	if err := c.list.Shutdown(); err != nil { // without a good-bye
		t.Fatal(err)
	}
	eventually(t, "the loss to be noticed", func() bool { return !a.Alive("c") && !b.Alive("c") })
}

func TestStrangersAreNotUnderstood(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "c1", 1)
	defer a.Close()
	for name, g := range map[string]*Gossip{"another key": start(t, "b", "c1", 2), "another cluster": start(t, "c", "c2", 1)} {
		if err := g.Meet([]string{a.Address()}); err == nil {
			t.Errorf("%s: met", name)
		}
		if g.Alive("a") || a.Alive(g.cfg.Self.NodeID) {
			t.Errorf("%s: known", name)
		}
		g.Close()
	}
}

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, cfg := range map[string]Config{
		taken.Addr().String() + " is in use": {Listen: taken.Addr().String()},
		`"nonsense"`:                         {Listen: "nonsense"},
		"is over 512 bytes":                  {Listen: "127.0.0.1:0", Self: Peer{NodeID: strings.Repeat("x", 600)}},
	} {
		cfg.Logger, cfg.Keys = slog.New(slog.DiscardHandler), [][32]byte{{1}}
		if _, err := Start(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	g, err := Start(Config{
		Self:   Peer{NodeID: "a", Address: "addr-a", ClusterID: "c1"},
		Listen: freeAddress(t), Keys: [][32]byte{{1}}, Logger: slog.New(slog.DiscardHandler), Fast: true, Registerer: reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, "b", "c1", 1)
	defer b.Close()
	if err := b.Meet([]string{g.Address()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two to be alive", func() bool {
		families, err := reg.Gather()
		return err == nil && len(families) == 2 && families[0].GetName() == "quis_gossip_alive_members" &&
			families[0].GetMetric()[0].GetGauge().GetValue() == 2
	})
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if families, err := reg.Gather(); err != nil || len(families) != 0 {
		t.Errorf("figures of gossip that has ended: %v, %v", families, err)
	}
}

// While the root key is replaced, nodes that use one key and know the other hear each other.
func TestSeveralKeys(t *testing.T) {
	t.Parallel()
	var all []*Gossip
	for i, keys := range [][][32]byte{{{1}, {2}}, {{2}, {1}}, {{2}}} {
		g, err := Start(Config{
			Self:   Peer{NodeID: string(rune('a' + i)), Address: "addr", Version: "v1", ClusterID: "c"},
			Listen: freeAddress(t), Keys: keys, Logger: slog.New(slog.DiscardHandler), Fast: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.Close() })
		all = append(all, g)
	}
	if err := all[0].Meet([]string{all[1].Address()}); err != nil {
		t.Error(err)
	}
	eventually(t, "nodes that know both keys to hear each other", func() bool { return all[0].Alive("b") && all[1].Alive("a") })
	if err := all[2].Meet([]string{all[1].Address()}); err != nil {
		t.Errorf("one that has dropped the former key: %v", err)
	}
}

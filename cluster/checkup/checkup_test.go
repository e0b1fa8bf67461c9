package checkup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// three are three members that are well.
func three() []Member {
	names := []string{"a", "b", "c"}
	var all []Member
	for _, id := range names {
		m := Member{ID: id, Address: id + ":8300", Version: "1.0", Uncertain: time.Millisecond, Report: &Report{}}
		for _, other := range names {
			if other != id {
				m.Report.Peers = append(m.Report.Peers, Peer{Node: other, Address: other + ":8300", Gossip: Alive})
			}
		}
		all = append(all, m)
	}
	return all
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func([]Member)
		level  Level
		check  string
		node   string
		words  string
	}{
		"well":            {func([]Member) {}, OK, "reachable", "", "each of 3 nodes reaches every other"},
		"one is silent":   {func(m []Member) { m[1].Report, m[1].Err = nil, errors.New("refused") }, Fail, "reachable", "b", "does not answer at b:8300: refused"},
		"one is old":      {func(m []Member) { m[2].Report, m[2].Version = nil, "0.9" }, Warn, "reachable", "c", "its release (0.9) knows no checkup"},
		"one way blocked": {func(m []Member) { m[0].Report.Peers[1].Fault = "no answer" }, Fail, "reachable", "a", "does not reach c at c:8300: no answer"},
		"gossip blocked":  {func(m []Member) { m[0].Report.Peers[1].Gossip = Lost }, Warn, "gossip", "a", "does not hear c"},
		"clock a bit off": {func(m []Member) { m[1].Offset = -700 * time.Millisecond }, Warn, "clock", "b", "700ms behind that of a"},
		"clock far off":   {func(m []Member) { m[1].Offset = time.Minute }, Fail, "clock", "b", "1m0s ahead of that of a"},
		"clock not sure":  {func(m []Member) { m[1].Offset, m[1].Uncertain = time.Second, time.Second }, OK, "clock", "", "1s apart at most"},
		"two releases":    {func(m []Member) { m[1].Version = "1.1" }, Warn, "release", "", "1.0 on a c; 1.1 on b"},
		"two settings": {func(m []Member) {
			for i, url := range []string{"https://id.example", "https://id.example", "https://id.example:8443"} {
				m[i].Report.Findings = []Finding{{Check: "issuer", Found: "answers", Same: url}}
			}
		}, Fail, "issuer", "", "https://id.example on a b; https://id.example:8443 on c"},
		"one setting": {func(m []Member) {
			for i := range m {
				m[i].Report.Findings = []Finding{{Check: "issuer", Found: "answers", Same: "https://id.example"}}
			}
		}, OK, "issuer", "b", "answers"},
		"disk of one": {func(m []Member) {
			m[1].Report.Findings = []Finding{{Check: "disk space", Level: Warn, Found: "little"}}
		}, Warn, "disk space", "b", "little"},
	} {
		members := three()
		c.change(members)
		found := Judge("a", members)
		at := slices.IndexFunc(found, func(f Finding) bool { return f.Check == c.check && f.Level == c.level && f.Node == c.node })
		if at < 0 || !strings.Contains(found[at].Found, c.words) {
			t.Errorf("%s: no %v of %s %q with %q in %+v", name, c.level, c.node, c.check, c.words, found)
			continue
		}
		if c.level != OK && found[at].Advice == "" && c.check != "disk space" {
			t.Errorf("%s: no advice with %+v", name, found[at])
		}
		for _, f := range found {
			if f.Level > c.level {
				t.Errorf("%s: worse than it is: %+v", name, f)
			}
		}
	}
}

// Who does not answer is named once by each check, not once by every other node.
func TestASilentNodeIsNamedOnce(t *testing.T) {
	t.Parallel()
	members := three()
	members[1].Report, members[1].Err = nil, errors.New("refused")
	if at := slices.IndexFunc(Judge("a", members), func(f Finding) bool { return f.Found == "every node that answers hears every other" }); at < 0 {
		t.Errorf("while gossip has not noticed yet: %+v", Judge("a", members))
	}
	members[0].Report.Peers[0].Fault, members[0].Report.Peers[0].Gossip = "refused", Lost
	members[2].Report.Peers[1].Fault, members[2].Report.Peers[1].Gossip = "refused", Lost
	var bad []string
	for _, f := range Judge("a", members) {
		if f.Level != OK || f.Check == "gossip" {
			bad = append(bad, f.Level.String()+" "+f.Node+" "+f.Check)
		}
	}
	if want := []string{"fail b reachable", "warn b gossip"}; !slices.Equal(bad, want) {
		t.Errorf("of one silent node: %q", bad)
	}
}

func TestGatherAsksEverybody(t *testing.T) {
	t.Parallel()
	members := three()
	Gather(t.Context(), members, func(_ context.Context, m *Member) (*Report, error) {
		if m.ID == "b" {
			return nil, errors.New("refused")
		}
		return &Report{Findings: []Finding{{Check: m.ID}}}, nil
	})
	for _, m := range members {
		if (m.Err != nil) != (m.ID == "b") || m.Err == nil && m.Report.Findings[0].Check != m.ID {
			t.Errorf("%+v", m)
		}
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		f     Finding
		level Level
		words string
	}{
		"much room":     {space("/d", 100<<30, 200<<30), OK, "100 GiB of 200 GiB (50 %) free in /d"},
		"large disk":    {space("/d", 80<<30, 2000<<30), OK, "(4 %)"},
		"little room":   {space("/d", 10<<30, 100<<30), Warn, "(10 %)"},
		"no room":       {space("/d", 100<<20, 100<<30), Fail, "100 MiB"},
		"many files":    {files(65536), OK, "65536"},
		"some files":    {files(1024), Warn, "1024"},
		"few files":     {files(256), Fail, "256"},
		"valid long":    {Expiry("c", "it", now.AddDate(0, 0, 60), now, Soon, "renew"), OK, "2026-03-02 (in 60 days)"},
		"valid short":   {Expiry("c", "it", now.AddDate(0, 0, 3), now, Soon, "renew"), Warn, "in 3 days"},
		"valid no more": {Expiry("c", "it", now.AddDate(0, 0, -3), now, Soon, "renew"), Fail, "has ended"},
	} {
		if c.f.Level != c.level || !strings.Contains(c.f.Found, c.words) || (c.level != OK) != (c.f.Advice != "") {
			t.Errorf("%s: %+v, want %v and %q", name, c.f, c.level, c.words)
		}
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for mode, want := range map[os.FileMode]Level{0o700: OK, 0o750: Warn, 0o755: Warn, 0o777: Fail, 0o770 | os.ModeSetgid: OK, 0o775 | os.ModeSetgid: Warn} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if f := Private(dir); f.Level != want {
			t.Errorf("mode %v: %+v, want %v", mode, f, want)
		}
	}
	if f := Private(filepath.Join(dir, "none")); f.Level != Fail {
		t.Errorf("a directory that is not there: %+v", f)
	}
	if f := Sync(t.Context(), dir); !strings.Contains(f.Found, "median") {
		t.Errorf("speed of the disk: %+v", f)
	}
	if f := Space(dir); !strings.Contains(f.Found, "free in "+dir) {
		t.Errorf("space on the disk: %+v", f)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if f := Sync(t.Context(), filepath.Join(dir, "none")); f.Level != Fail {
		t.Errorf("writes to nowhere: %+v", f)
	}
}

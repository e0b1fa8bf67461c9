package process

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// personalToken is the tester's, of the bootstrap file.
const personalToken = "quis_pat_0123456789abcdef0123456789abcdef"

// TestRollingUpgrade is invariant 18: three nodes of the previous release are upgraded
// one by one while people sign in, taken back, and upgraded again in another order, with
// an old node leading new ones and a new one leading old ones, and not one request of
// anybody fails.
//
// QUIS_UPGRADES is how many rounds there and back it goes, in orders that its seed, which
// is printed, decides (QUIS_SEED repeats one); default 1, the leader first.
func TestRollingUpgrade(t *testing.T) {
	rounds, seed := number(t, "QUIS_UPGRADES", 1), number(t, "QUIS_SEED", int(time.Now().UnixNano()%1_000_000))
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(uint64(seed), 18))
	f := newFleet(t, previousOrStandIn(t))
	for round := range rounds {
		there, back := f.leaderFirst(), f.leaderLast()
		if round > 0 {
			there, back = f.order(dice.Perm(3)), f.order(dice.Perm(3))
		}
		for i, pick := range there {
			f.move(pick(), f.ours)
			switch i {
			case 0:
				f.leadBy(f.ours)
				f.works()
			case 1:
				f.leadBy(f.theirs)
				f.works()
				f.tellsOfSkew()
			}
		}
		f.works()
		for i, pick := range back {
			f.move(pick(), f.theirs)
			if i == 0 {
				f.leadBy(f.theirs)
				f.works()
			}
		}
		f.works()
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	for _, pick := range f.leaderLast() { // it ends where it should
		f.move(pick(), f.ours)
	}
	f.works()
	if skew := f.nodes[0].features(); strings.Contains(skew, "skew") {
		t.Errorf("all run one release, but: %s", skew)
	}
	f.end()
}

// TestActivatedFeatureKeepsOlderReleasesOut: once a format that only the next release reads
// is in use, this one neither starts on its data nor is let in, and says why.
func TestActivatedFeatureKeepsOlderReleasesOut(t *testing.T) {
	t.Parallel()
	newer, err := next()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	activated := newSighting("feature activated")
	s.bin, s.log = newer, activated
	s.start()
	s.signIn()
	activated.wait(t)
	eventually(t, "the status tells that all features are in use", patience, func() bool { // the sighting is of the first
		f := s.features()
		return strings.Contains(f, `"name":"trial/1"`) && strings.Contains(f, `"waiting":[]`)
	})
	s.stop()
	s.bin, s.log = "", nil
	s.refuses("trial/1", "run the newer release")

	s.bin = newer
	s.start()
	late := newServer(t)
	late.bootstrap = false
	late.keys["node_id"] = "two"
	late.keys["cluster.join"] = s.keys["cluster.listen"]
	late.keys["cluster.bootstrap_expect"] = "0"
	late.keys["root_key_file"] = s.keys["root_key_file"]
	late.refuses("trial/1", "node two")
	late.bin = newer
	late.start()
	late.stop()
	s.stop()
}

// features is what the status of the cluster says of what its members read.
func (s *server) features() string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.public()+"/api/v1/cluster/status", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+personalToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var status struct{ Features json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		s.t.Fatal(err)
	}
	return strings.ReplaceAll(string(status.Features), " ", "")
}

// A sighting waits for words in what a node prints.
type sighting struct {
	words []byte
	seen  chan struct{}
	once  sync.Once
	text  []byte // of the process's one writer
}

func newSighting(words string) *sighting {
	return &sighting{words: []byte(words), seen: make(chan struct{})}
}

func (s *sighting) Write(p []byte) (int, error) {
	s.text = append(s.text, p...)
	if bytes.Contains(s.text, s.words) {
		s.once.Do(func() { close(s.seen) })
	}
	return len(p), nil
}

func (s *sighting) wait(t *testing.T) {
	t.Helper()
	select {
	case <-s.seen:
	case <-time.After(patience):
		t.Fatalf("nothing was said of %q", s.words)
	}
}

// number reads a variable of this test's, and hides it from the nodes, which refuse
// variables that they do not know.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Setenv(name, "")
	return n
}

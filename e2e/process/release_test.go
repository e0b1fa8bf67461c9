package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// previousRelease is the commit of the release before this one: its binary must live in
// one cluster with ours. It is from the time before nodes announced features.
const previousRelease = "648eb0bc2feafc322211202cc4aaf22bb86aaaa5"

const linked = "github.com/quis-idp/quis/cluster/feature."

// A release is a binary of another time than this tree's.
type release struct {
	bin     string
	genuine bool // built from its own source, not a stand-in built from ours
}

// previous returns the release before this one, built once for all runs on a machine.
// Where its commit is not at hand (a shallow clone), a stand-in made of this tree acts
// its part: it announces nothing.
var previous = sync.OnceValues(func() (release, error) {
	top, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return release{}, fmt.Errorf("previous release: %w", err)
	}
	git := func(args ...string) *exec.Cmd {
		return exec.Command("git", append([]string{"-C", strings.TrimSpace(string(top))}, args...)...)
	}
	if git("cat-file", "-e", previousRelease+"^{commit}").Run() != nil {
		bin, err := acting("previous", "withheld=all")
		return release{bin: bin}, err
	}
	bin := cached("quis-" + previousRelease)
	if _, err := os.Stat(bin); err == nil {
		return release{bin, true}, nil
	}
	source, err := os.MkdirTemp("", "quis-previous-")
	if err != nil {
		return release{}, fmt.Errorf("previous release: %w", err)
	}
	defer os.RemoveAll(source)
	archive, err := git("archive", previousRelease).Output()
	if err != nil {
		return release{}, fmt.Errorf("previous release: git archive: %w", err)
	}
	unpack := exec.Command("tar", "-x", "-C", source)
	unpack.Stdin = bytes.NewReader(archive)
	if out, err := unpack.CombinedOutput(); err != nil {
		return release{}, fmt.Errorf("previous release: unpack: %w: %s", err, out)
	}
	return release{bin, true}, build(source, bin)
})

// next returns a release after this one: this tree's source, which also reads the
// feature trial/1 and has it activated.
var next = sync.OnceValues(func() (string, error) { return acting("next", "added=trial/1") })

// acting builds this tree with a variable of cluster/feature set by the linker.
func acting(name, set string) (string, error) {
	dir, err := os.MkdirTemp("", "quis-release-")
	if err != nil {
		return "", err
	}
	released.Lock()
	released.dirs = append(released.dirs, dir)
	released.Unlock()
	bin := filepath.Join(dir, "quis-"+name)
	return bin, build("", bin, "-ldflags", "-s -w -X "+linked+set)
}

// released are directories to be removed at the end.
var released struct {
	sync.Mutex
	dirs []string
}

func removeReleases() {
	for _, dir := range released.dirs {
		os.RemoveAll(dir)
	}
}

// build makes the binary of the source in dir (empty: this tree's), whole or not at all.
func build(dir, bin string, flags ...string) error {
	if len(flags) == 0 {
		flags = []string{"-ldflags", "-s -w"}
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return err
	}
	half := fmt.Sprintf("%s.%d", bin, os.Getpid())
	cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-buildvcs=false"}, flags...), "-o", half, "./cmd/quis")...)
	cmd.Dir = dir
	if dir == "" {
		cmd.Dir = filepath.Join("..", "..")
	}
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("build a release: %w\n%s", err, out), os.RemoveAll(half))
	}
	return os.Rename(half, bin)
}

// cached is a place for a file that outlives the tests, if the user has one.
func cached(name string) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "quis-test", name)
}

// previousOrStandIn returns the binary of the previous release and says what it is.
func previousOrStandIn(t *testing.T) string {
	t.Helper()
	r, err := previous()
	if err != nil {
		t.Fatal(err)
	}
	if r.genuine {
		t.Logf("the previous release is commit %.12s", previousRelease)
	} else {
		t.Logf("NOTE: commit %.12s is not here (a shallow clone?): this tree, linked to announce nothing, stands in for the previous release", previousRelease)
	}
	return r.bin
}

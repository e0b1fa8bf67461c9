package guide

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// Main is for TestMain: where the test binary was called by the name of one of the
// hosts' programs it is that program, and Main does not return.
func Main() {
	var err error
	switch filepath.Base(os.Args[0]) {
	case "systemctl":
		err = systemctl(os.Args[1:])
	case "scp":
		err = scp(os.Args[1:])
	default:
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// systemctl VERB [--now] quis
func systemctl(args []string) error {
	if len(args) < 2 || args[len(args)-1] != "quis" {
		return errors.New("want a verb and quis")
	}
	resp, err := http.Post(os.Getenv("GUIDE_CONTROL")+"/"+os.Getenv("GUIDE_HOST")+"/"+args[0], "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		return errors.Join(err, errors.New(strings.TrimSpace(string(text))))
	}
	return nil
}

// scp FILE... HOST:DIRECTORY, where the directory was written for this host
func scp(args []string) error {
	if len(args) < 2 {
		return errors.New("want files and where they go")
	}
	to, at, ok := strings.Cut(args[len(args)-1], ":")
	all := os.Getenv("GUIDE_DIR")
	here, inside := strings.CutPrefix(at, filepath.Join(all, os.Getenv("GUIDE_HOST")))
	if !ok || !inside {
		return fmt.Errorf("%s is no directory of a host", args[len(args)-1])
	}
	for _, from := range args[:len(args)-1] {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(all, to, here, filepath.Base(from)), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// shims gives the hosts the programs that they have beside quis, once, and returns where.
func (h *Hosts) shims() string {
	dir := filepath.Join(h.dir, "shims")
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	for _, name := range []string{"systemctl", "scp"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

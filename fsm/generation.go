package fsm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A store's directory holds one generation of the engine, named by the file
// CURRENT, a second one while a restore builds it, and the lock of the process
// that has it open.
const (
	currentFile = "CURRENT"
	lockFile    = "LOCK"
	// noGeneration is what CURRENT names before there is one. The first is built like
	// any other: a power cut in the midst of that leaves nothing that Open would have
	// to make sense of.
	noGeneration = "gen-000000"
)

// prepareDir creates the store's directory durably, with what leads to it.
func prepareDir(cfg Config) error {
	var made []string
	for dir := cfg.Dir; ; dir = cfg.FS.PathDir(dir) {
		made = append(made, dir)
		if _, err := cfg.FS.Stat(dir); err == nil || cfg.FS.PathDir(dir) == dir {
			break
		}
	}
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	for _, dir := range made[1:] {
		if err := syncDir(cfg.FS, dir); err != nil {
			return err
		}
	}
	return nil
}

func lockDir(cfg Config) (io.Closer, error) {
	lock, err := cfg.FS.Lock(cfg.FS.PathJoin(cfg.Dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("open store in %s: it cannot be locked, does another process use it? %w", cfg.Dir, err)
	}
	return lock, nil
}

// currentGeneration reads which generation to open; in a fresh directory there is none.
func currentGeneration(cfg Config) (string, error) {
	f, err := cfg.FS.Open(cfg.FS.PathJoin(cfg.Dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return startGeneration(cfg)
	}
	if err != nil {
		return "", fmt.Errorf("open store: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return "", fmt.Errorf("open store: %w", err)
	}
	name := strings.TrimSpace(string(b))
	if _, err := nextGeneration(name); err != nil {
		return "", fmt.Errorf("open store in %s: %s: %w", cfg.Dir, currentFile, err)
	}
	return name, nil
}

// startGeneration begins a store. CURRENT is durable before the first generation
// exists, so generations without it mean that it was lost: never guess which to keep.
func startGeneration(cfg Config) (string, error) {
	names, err := cfg.FS.List(cfg.Dir)
	if err != nil {
		return "", fmt.Errorf("open store: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, "gen-") {
			return "", fmt.Errorf("open store in %s: there is %s but no %s: %w", cfg.Dir, n, currentFile, ErrCorrupt)
		}
	}
	return noGeneration, switchGeneration(cfg, noGeneration)
}

// switchGeneration durably makes name the generation that the next Open uses.
func switchGeneration(cfg Config, name string) error {
	if err := syncDir(cfg.FS, cfg.Dir); err != nil { // the generation before the name of it
		return err
	}
	if err := writeName(cfg, currentFile, name); err != nil {
		return fmt.Errorf("switch store generation: %w", err)
	}
	return nil
}

// writeName durably makes file hold text.
func writeName(cfg Config, file, text string) error {
	tmp := cfg.FS.PathJoin(cfg.Dir, file+".new")
	f, err := cfg.FS.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text + "\n"))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = cfg.FS.Rename(tmp, cfg.FS.PathJoin(cfg.Dir, file))
	}
	if err != nil {
		return err
	}
	return syncDir(cfg.FS, cfg.Dir)
}

func nextGeneration(name string) (string, error) {
	var n int
	if _, err := fmt.Sscanf(name, "gen-%d", &n); err != nil || fmt.Sprintf("gen-%06d", n) != name {
		return "", fmt.Errorf("store generation %q: %w", name, ErrCorrupt)
	}
	return fmt.Sprintf("gen-%06d", n+1), nil
}

// removeOtherGenerations deletes what an interrupted restore left behind.
func removeOtherGenerations(cfg Config, keep ...string) error {
	names, err := cfg.FS.List(cfg.Dir)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, "gen-") && !slices.Contains(keep, n) {
			if err := removeGeneration(cfg, n); err != nil {
				return fmt.Errorf("open store: remove old generation: %w", err)
			}
		}
	}
	return nil
}

func removeGeneration(cfg Config, name string) error {
	return cfg.FS.RemoveAll(cfg.FS.PathJoin(cfg.Dir, name))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

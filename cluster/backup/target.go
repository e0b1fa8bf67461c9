package backup

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

type writer = io.Writer

// A target is where scheduled backups lie. An archive is there whole or not at all.
type target interface {
	put(ctx context.Context, name string, write func(writer) error) error
	get(ctx context.Context, name string) (io.ReadCloser, error)
	list(ctx context.Context) ([]string, error)
	remove(ctx context.Context, name string) error
}

// target returns what the schedule's target names.
func (k *Keeper) target(s *Schedule) (target, error) {
	u, err := url.Parse(s.Target)
	if err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("target: want file:///directory or s3://bucket/prefix: %w", ErrSchedule)
	}
	switch {
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path) && u.Path != "/":
		return directory(filepath.Clean(u.Path)), nil
	case u.Scheme == "s3" && u.Host != "":
		secret, err := k.Root.Unwrap(s.Sealed, secretContext)
		if err != nil {
			return nil, fmt.Errorf("target: the secret key is missing: give it again: %w", ErrSchedule)
		}
		return openBucket(s, u.Host, strings.Trim(u.Path, "/"), string(secret))
	}
	return nil, fmt.Errorf("target: want file:///directory or s3://bucket/prefix: %w", ErrSchedule)
}

const (
	nameTime = "20060102T150405.000Z"
	suffix   = ".backup"
)

var named = regexp.MustCompile(`^quis-([A-Za-z0-9._:-]+)-([0-9]{8}T[0-9]{6}\.[0-9]{3}Z)\.backup$`)

func archiveName(cluster string, at time.Time) string {
	return "quis-" + cluster + "-" + at.UTC().Format(nameTime) + suffix
}

// superfluous returns which archives of the cluster go now that latest has been read
// back: those that neither their number nor their age keeps. Files of others are not ours.
func superfluous(names []string, cluster, latest string, now time.Time, keepLast, keepDays int) []string {
	if keepLast == 0 && keepDays == 0 {
		return nil
	}
	var ours []string
	for _, n := range names {
		if m := named.FindStringSubmatch(n); m != nil && m[1] == cluster {
			ours = append(ours, n)
		}
	}
	slices.Sort(ours)
	slices.Reverse(ours)
	var out []string
	for i, n := range ours {
		at, err := time.Parse(nameTime, named.FindStringSubmatch(n)[2])
		if err != nil || n >= latest || i < keepLast || keepDays > 0 && now.Sub(at) < time.Duration(keepDays)*24*time.Hour {
			continue
		}
		out = append(out, n)
	}
	return out
}

// A directory on the disk of whichever node leads: each node needs it, best from one
// file server.
type directory string

func (d directory) put(_ context.Context, name string, write func(writer) error) error {
	return WriteFile(filepath.Join(string(d), name), write)
}

func (d directory) get(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(d), name))
}

func (d directory) list(context.Context) ([]string, error) {
	entries, err := os.ReadDir(string(d))
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (d directory) remove(_ context.Context, name string) error {
	return os.Remove(filepath.Join(string(d), name))
}

// hashed reads all of r.
func hashed(r io.Reader) (Info, error) {
	sum := newSummed(io.Discard)
	_, err := io.Copy(sum, r)
	return Info{Bytes: sum.n, SHA256: hex.EncodeToString(sum.h.Sum(nil))}, err
}

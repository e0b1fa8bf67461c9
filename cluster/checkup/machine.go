package checkup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Limits of what is healthy on a machine.
const (
	spaceWarn, spaceFail = 15, 5              // percent of the disk that are free
	leastWarn, leastFail = 2 << 30, 256 << 20 // and in bytes
	slowWarn, slowFail   = 50, 1000           // milliseconds that one in a hundred writes takes
	filesWarn, filesFail = 4096, 512          // descriptors
	syncs                = 100                // writes that are measured
	syncFor              = 2 * time.Second    // and for how long
	syncSize             = 4 << 10            // bytes of one
	probeFile            = "checkup.tmp"
)

// Space looks at what is free on the disk of dir.
func Space(dir string) Finding {
	f := Finding{Check: "disk space"}
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		f.Level, f.Found = Fail, dir+": "+err.Error()
		return f
	}
	return space(dir, s.Bavail*uint64(s.Bsize), s.Blocks*uint64(s.Bsize))
}

func space(dir string, free, total uint64) Finding {
	f := Finding{Check: "disk space"}
	percent := uint64(100)
	if total > 0 {
		percent = free * 100 / total
	}
	f.Found = fmt.Sprintf("%s of %s (%d %%) free in %s", size(free), size(total), percent, dir)
	switch {
	case free < leastFail || percent < spaceFail && free < 20*leastFail:
		f.Level = Fail
	case free < leastWarn || percent < spaceWarn && free < 20*leastWarn:
		f.Level = Warn
	default:
		return f
	}
	f.Advice = "Make room, or move the data directory to a larger disk: a node that cannot write stops."
	return f
}

// Sync measures how long writes to dir take until they are on the disk, for two seconds at most.
func Sync(ctx context.Context, dir string) Finding {
	f := Finding{Check: "disk speed"}
	took, err := measure(ctx, filepath.Join(dir, probeFile))
	if err != nil {
		f.Level, f.Found = Fail, "cannot write to "+dir+": "+err.Error()
		f.Advice = "Look at the disk and at the owner and mode of the directory."
		return f
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[(len(took)*99)/100]
	f.Found = fmt.Sprintf("a write is safe on disk after %s (median), %s (99 of 100)", short(p50), short(p99))
	switch ms := p99.Milliseconds(); {
	case ms >= slowFail:
		f.Level = Fail
	case ms >= slowWarn:
		f.Level = Warn
	default:
		return f
	}
	f.Advice = "Put the data directory on an SSD of its own: every sign-in waits for this."
	return f
}

func short(d time.Duration) string {
	if d < time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

func measure(ctx context.Context, path string) (took []time.Duration, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(path)) }()
	block := make([]byte, syncSize)
	for until := time.Now().Add(syncFor); len(took) < syncs && time.Now().Before(until) && ctx.Err() == nil; {
		began := time.Now()
		if _, err := file.WriteAt(block, int64(len(took))*syncSize); err != nil {
			return nil, cause(err)
		}
		if err := file.Sync(); err != nil {
			return nil, cause(err)
		}
		took = append(took, time.Since(began))
	}
	if len(took) == 0 {
		return nil, ctx.Err()
	}
	return took, nil
}

// Private looks whether nobody but its owner can reach the data directory at dir. A group
// counts as the owner where the directory is handed on to it (setgid), as Kubernetes does.
func Private(dir string) Finding {
	f := Finding{Check: "data directory"}
	info, err := os.Stat(dir)
	if err != nil {
		f.Level, f.Found = Fail, dir+": "+cause(err).Error()
		f.Advice = "Look at data_dir in the configuration."
		return f
	}
	mode, others := info.Mode().Perm(), fs.FileMode(0o077)
	if info.Mode()&fs.ModeSetgid != 0 {
		others = 0o007
	}
	f.Found = fmt.Sprintf("%s has mode %04o", dir, mode)
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() && os.Geteuid() != 0 && info.Mode()&fs.ModeSetgid == 0 {
		f.Level, f.Advice = Warn, fmt.Sprintf("chown -R %d %s", os.Geteuid(), dir)
		f.Found += fmt.Sprintf(" and belongs to user %d, while this is user %d", s.Uid, os.Geteuid())
	}
	if mode&others != 0 {
		f.Level, f.Advice = Warn, "chmod go-rwx "+dir
		f.Found += ": other users of this machine can look into it"
		if mode&others&0o022 != 0 {
			f.Level = Fail
		}
	}
	return f
}

// Files looks at how many files this process may open; every connection is one.
func Files() Finding {
	f := Finding{Check: "open files"}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		f.Level, f.Found = Warn, err.Error()
		return f
	}
	return files(l.Cur)
}

func files(limit uint64) Finding {
	f := Finding{Check: "open files", Found: fmt.Sprintf("%d may be open at once", limit)}
	switch {
	case limit < filesFail:
		f.Level = Fail
	case limit < filesWarn:
		f.Level = Warn
	default:
		return f
	}
	f.Advice = fmt.Sprintf("Raise the limit to 65536: LimitNOFILE= in systemd, ulimits in compose (it is under %d).", filesWarn)
	return f
}

// Soon is when a certificate that people or their tools renew should have been renewed.
const Soon = 14 * 24 * time.Hour

// Expiry looks at when a certificate ends; less than soon before, renew says what to do.
func Expiry(check, name string, ends, now time.Time, soon time.Duration, renew string) Finding {
	left := ends.Sub(now)
	f := Finding{Check: check, Found: fmt.Sprintf("%s ends %s (%s)", name, ends.UTC().Format(time.DateOnly), days(left))}
	switch {
	case left <= 0:
		f.Level = Fail
	case left < soon:
		f.Level = Warn
	default:
		return f
	}
	f.Advice = renew
	return f
}

func days(d time.Duration) string {
	switch n := int(d / (24 * time.Hour)); {
	case d <= 0:
		return "it has ended"
	case n == 0:
		return "in " + d.Round(time.Minute).String()
	case n == 1:
		return "tomorrow"
	case n > 3*365:
		return fmt.Sprintf("in %d years", n/365)
	default:
		return fmt.Sprintf("in %d days", n)
	}
}

// cause is what the system said, without the path that the sentence around it names.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return errors.New(strings.TrimPrefix(pe.Err.Error(), "syscall "))
	}
	return err
}

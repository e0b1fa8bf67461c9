package breach

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says who is asked; the zero value asks nobody.
type Config struct {
	Set *Set // nil: there is none here
	// Range asks a service for the leaked passwords whose SHA-1 begins with five hexadecimal
	// digits: lines of the other 35, a colon, and a number. It bounds what it reads, and asks
	// for padding, so that the length of the answer tells nothing. nil: there is none.
	Range func(ctx context.Context, prefix string) ([]byte, error)

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// patience is how long a person waits for a service.
const patience = 2 * time.Second

// A Checker knows who to ask. It is safe for concurrent use.
type Checker struct {
	cfg    Config
	checks *prometheus.CounterVec
}

// New returns a checker.
func New(cfg Config) *Checker {
	c := &Checker{cfg: cfg, checks: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "quis_password_breach_checks_total", Help: "New passwords that were looked up in leaks, by who was asked and what came of it.",
	}, []string{"source", "outcome"})}
	for _, source := range []string{"file", "service"} { // there from the start, or nobody could watch for the first
		for _, outcome := range []string{"known", "unknown", "failed"} {
			c.checks.WithLabelValues(source, outcome)
		}
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(c.checks)
	}
	return c
}

// Asks returns Check and CheckHere, or nil if there is nobody to ask.
func (c *Checker) Asks() (everybody, here func(context.Context, string) (int, error)) {
	if c.cfg.Set == nil && c.cfg.Range == nil {
		return nil, nil
	}
	return c.Check, c.CheckHere
}

// Check returns how often a password was leaked, at least; 0 is unknown. An error says that
// not everybody could be asked; it has been counted and logged.
func (c *Checker) Check(ctx context.Context, password string) (count int, err error) {
	sum := sha1.Sum([]byte(password))
	count, err = c.here(sum)
	if count > 0 || c.cfg.Range == nil {
		return count, err
	}
	n, asked := c.ask(ctx, sum)
	return n, errors.Join(err, asked)
}

// CheckHere is Check without asking anybody else.
func (c *Checker) CheckHere(_ context.Context, password string) (count int, err error) {
	return c.here(sha1.Sum([]byte(password)))
}

func (c *Checker) here(sum [sha1.Size]byte) (int, error) {
	if c.cfg.Set == nil {
		return 0, nil
	}
	has, err := c.cfg.Set.Has(sum)
	n := 0
	if has {
		n = int(c.cfg.Set.info.MinCount)
	}
	c.note("file", n, err)
	return n, err
}

func (c *Checker) ask(ctx context.Context, sum [sha1.Size]byte) (int, error) {
	inTime, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	n := 0
	answer, err := c.cfg.Range(inTime, digits[:5])
	if err == nil {
		n, err = find(answer, digits[5:])
	}
	if ctx.Err() != nil { // nobody waits any more: that is not the service's fault
		return 0, ctx.Err()
	}
	c.note("service", n, err)
	return n, err
}

// find looks a suffix up in an answer. Every answer has many lines: one without any is not one.
func find(answer []byte, suffix string) (int, error) {
	lines := 0
	for line := range bytes.Lines(answer) {
		digits, count, ok := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		n, err := strconv.ParseUint(string(count), 10, 31)
		if !ok || err != nil || len(digits) != len(suffix) {
			continue
		}
		lines++
		if strings.EqualFold(string(digits), suffix) {
			return int(n), nil // 0 is padding
		}
	}
	if lines == 0 {
		return 0, fmt.Errorf("service of breached passwords: no line of its answer can be read")
	}
	return 0, nil
}

func (c *Checker) note(source string, n int, err error) {
	outcome := "unknown"
	switch {
	case err != nil:
		outcome = "failed"
		if c.cfg.Logger != nil {
			c.cfg.Logger.Warn("a new password could not be looked up in leaks, and is let through", "source", source, "error", err)
		}
	case n > 0:
		outcome = "known"
	}
	c.checks.WithLabelValues(source, outcome).Inc()
}

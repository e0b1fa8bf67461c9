package credential

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/text/unicode/norm"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/argon2"
	"github.com/quis-idp/quis/identity/credential/foreign"
	"github.com/quis-idp/quis/identity/credential/strength"
)

// Config says how a Pool hashes; the zero value is the default.
type Config struct {
	Params  Params // default DefaultParams
	Workers int    // hashes at a time; default half of GOMAXPROCS, at least 1: the other half serves tokens
	Queue   int    // callers that may wait; default 64 for each worker, under two seconds
}

// A Pool hashes and verifies passwords, a bounded number at a time. It is safe for
// concurrent use and has no goroutines while it has nothing to do.
type Pool struct {
	params Params
	queue  int64
	slots  chan *argon2.Memory // one for each worker; those who wait are served in order
	idle   *time.Timer         // gives memory back when nobody has signed in for a while

	waiting   atomic.Int64
	took      atomic.Int64 // nanoseconds, smoothed, of one hash
	compute   func(m *argon2.Memory, password, salt []byte, p Params, size int) []byte
	durations *prometheus.HistogramVec
	rejected  prometheus.Counter
}

// NewPool returns a Pool whose metrics are registered with reg, which may be nil.
func NewPool(cfg Config, reg prometheus.Registerer) *Pool {
	if cfg.Params == (Params{}) {
		cfg.Params = DefaultParams
	}
	if !cfg.Params.Within() {
		panic(fmt.Sprintf("credential: argon2id parameters %+v are out of bounds", cfg.Params))
	}
	if cfg.Workers <= 0 {
		cfg.Workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if cfg.Queue <= 0 {
		cfg.Queue = 64 * cfg.Workers
	}
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "quis_password_hash_duration_seconds", Help: "Time to compute one password hash, without waiting.",
		Buckets: prometheus.ExponentialBuckets(0.005, 2, 9),
	}, []string{"alg"})
	p := &Pool{
		params: cfg.Params, queue: int64(cfg.Queue), slots: make(chan *argon2.Memory, cfg.Workers), compute: argon2id,
		durations: durations,
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quis_password_hash_rejected_total", Help: "Password hashes refused because too many were waiting.",
		}),
	}
	for range cfg.Workers {
		p.slots <- new(argon2.Memory)
	}
	p.idle = time.AfterFunc(keepMemory, p.release)
	length := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "quis_password_hash_queue_length", Help: "Callers waiting for a password hash.",
	}, func() float64 { return float64(p.waiting.Load()) })
	durations.WithLabelValues(ours) // shows before anybody signs in
	if reg != nil {
		reg.MustRegister(durations, p.rejected, length)
	}
	return p
}

const ours = "argon2id" // in metrics

func argon2id(m *argon2.Memory, password, salt []byte, p Params, size int) []byte {
	return m.Key(argon2.ID, password, salt, p, uint32(size))
}

// keepMemory is how long memory is kept for the next hash.
const keepMemory = 5 * time.Second

// release gives up the memory of the workers that have nothing to do.
func (p *Pool) release() {
	for range cap(p.slots) {
		select {
		case memory := <-p.slots:
			memory.Release()
			p.slots <- memory
		default:
			return
		}
	}
}

// Hash returns a password's hash in PHC form, whatever the password is worth: [Prepare] is
// for new ones. It reports identity.ErrInvalid, field password, for one that is empty or
// longer than any may be, and identity.ErrLimited with RetryAfter when too many are waiting.
func (p *Pool) Hash(ctx context.Context, password string) (string, error) {
	if password == "" || len(password) > strength.MaxBytes {
		return "", identity.Invalid("password", "A password has 1 to 256 characters.")
	}
	return p.hash(ctx, password)
}

func (p *Pool) hash(ctx context.Context, password string) (string, error) {
	h := phc{Params: p.params, salt: make([]byte, saltSize)}
	rand.Read(h.salt)
	err := p.run(ctx, ours, func(m *argon2.Memory) { h.key = p.compute(m, canonical(password), h.salt, h.Params, keySize) })
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return h.String(), nil
}

// Verify reports whether password matches the hash, and if so whether the hash should be
// renewed: because parameters have changed, or because another system made it. Beside those
// of Hash it reports fsm.ErrCorrupt for a hash that it cannot read.
func (p *Pool) Verify(ctx context.Context, phc, password string) (ok, needsRehash bool, err error) {
	h, err := parsePHC(phc)
	if err != nil {
		return p.verifyForeign(ctx, phc, password)
	}
	if len(password) > strength.MaxBytes {
		return false, false, nil
	}
	var key []byte
	err = p.run(ctx, ours, func(m *argon2.Memory) { key = p.compute(m, canonical(password), h.salt, h.Params, len(h.key)) })
	if err != nil {
		return false, false, fmt.Errorf("verify password: %w", err)
	}
	if subtle.ConstantTimeCompare(key, h.key) != 1 {
		return false, false, nil
	}
	return true, h.Params != p.params || len(h.salt) < saltSize || len(h.key) != keySize, nil
}

func (p *Pool) verifyForeign(ctx context.Context, encoded, password string) (ok, needsRehash bool, err error) {
	h, err := foreign.Parse(encoded)
	if err != nil {
		return false, false, fmt.Errorf("verify password: %w: %w", fsm.ErrCorrupt, err)
	}
	if err := p.run(ctx, h.Algorithm, func(m *argon2.Memory) { ok = h.Matches(m, password) }); err != nil {
		return false, false, fmt.Errorf("verify imported password: %w", err)
	}
	return ok, ok, nil
}

// decoy is a hash with today's parameters that no password matches.
func (p *Pool) decoy() string {
	h := phc{Params: p.params, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	rand.Read(h.salt)
	rand.Read(h.key)
	return h.String()
}

// canonical is the password in NFC (RFC 8265 §4.2.2): keyboards differ in how they
// compose the same characters.
func canonical(password string) []byte { return norm.NFC.Bytes([]byte(password)) }

// run calls f, which computes a hash of alg, when a slot is free, and waits for it.
func (p *Pool) run(ctx context.Context, alg string, f func(*argon2.Memory)) error {
	var memory *argon2.Memory
	select {
	case memory = <-p.slots:
	default:
		var err error
		if memory, err = p.wait(ctx); err != nil {
			return err
		}
	}
	defer func() {
		p.slots <- memory
		p.idle.Reset(keepMemory)
	}()
	begin := time.Now()
	f(memory)
	took := time.Since(begin)
	p.durations.WithLabelValues(alg).Observe(took.Seconds())
	p.took.Store((7*p.took.Load() + int64(took)) / 8) // an estimate: losing a race over it is nothing
	return nil
}

func (p *Pool) wait(ctx context.Context) (*argon2.Memory, error) {
	if n := p.waiting.Add(1); n > p.queue {
		p.waiting.Add(-1)
		p.rejected.Inc()
		return nil, identity.Limited("Many people are signing in right now. Try again in a moment.", p.patience())
	}
	defer p.waiting.Add(-1)
	select {
	case memory := <-p.slots:
		return memory, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// patience is about how long it takes to work the queue off, in whole seconds, at least one.
func (p *Pool) patience() time.Duration {
	work := time.Duration(p.took.Load()) * time.Duration(p.queue) / time.Duration(cap(p.slots))
	return time.Duration(math.Ceil(max(work.Seconds(), 1))) * time.Second
}

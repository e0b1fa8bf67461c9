package house

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// A Network is what lies between the nodes' cluster ports. Each direction between two
// nodes has faults of its own. A connection is wrapped by whoever dials it, and
// carries both directions.
type Network struct {
	mu      sync.Mutex
	nodes   map[string]int // by address of the cluster port
	cut     [][]bool       // from, to: nothing arrives
	delay   time.Duration  // of every write
	jitter  time.Duration  // at most that much more
	resets  float64        // chance of each write to find its connection reset
	rng     *rand.Rand     // under mu
	changed chan struct{}  // closed when any of the above changes
}

// NewNetwork joins nodes with these cluster addresses without any fault. Jitter and
// resets are drawn from seed.
func NewNetwork(addresses []string, seed uint64) *Network {
	n := &Network{nodes: map[string]int{}, rng: rand.New(rand.NewPCG(seed, 2)), changed: make(chan struct{})}
	for i, a := range addresses {
		n.nodes[a] = i
		n.cut = append(n.cut, make([]bool, len(addresses)))
	}
	return n
}

func (n *Network) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
}

// Cut lets nothing that from sends arrive at to, until Heal.
func (n *Network) Cut(from, to int) { n.change(func() { n.cut[from][to] = true }) }

// Isolate cuts a node off from all others, in both directions.
func (n *Network) Isolate(node int) {
	n.change(func() {
		for i := range n.cut {
			if i != node {
				n.cut[i][node], n.cut[node][i] = true, true
			}
		}
	})
}

// Delay holds every write back for d and up to jitter more.
func (n *Network) Delay(d, jitter time.Duration) {
	n.change(func() { n.delay, n.jitter = d, jitter })
}

// Reset resets connections: each write finds its own broken with chance p.
func (n *Network) Reset(p float64) { n.change(func() { n.resets = p }) }

// Heal removes every fault.
func (n *Network) Heal() {
	n.change(func() {
		for i := range n.cut {
			clear(n.cut[i])
		}
		n.delay, n.jitter, n.resets = 0, 0, 0
	})
}

// open returns nil while from reaches to, else a channel that closes when that may have changed.
func (n *Network) open(from, to int) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut[from][to] {
		return n.changed
	}
	return nil
}

// fate draws what becomes of one write.
func (n *Network) fate() (wait time.Duration, reset bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wait = n.delay
	if n.jitter > 0 {
		wait += time.Duration(n.rng.Int64N(int64(n.jitter)))
	}
	return wait, n.resets > 0 && n.rng.Float64() < n.resets
}

// Dial is how node from reaches the others.
func (n *Network) Dial(from int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		n.mu.Lock()
		to, ok := n.nodes[address]
		n.mu.Unlock()
		if !ok {
			return nil, fmt.Errorf("dial %s: no node is there", address)
		}
		for _, way := range [][2]int{{from, to}, {to, from}} { // a handshake needs both
			for c := n.open(way[0], way[1]); c != nil; c = n.open(way[0], way[1]) {
				select {
				case <-c:
				case <-ctx.Done():
					return nil, fmt.Errorf("dial %s: %w", address, os.ErrDeadlineExceeded)
				}
			}
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newLink(n, c, from, to), nil
	}
}

// A link is one connection. What is read waits in a goroutine of its own until its
// direction is open, so that a cut holds back what was already on its way, too.
type link struct {
	net.Conn
	net      *Network
	from, to int

	mu            sync.Mutex
	read, written time.Time     // deadlines
	moved         chan struct{} // closed when a deadline is set
	closed        chan struct{}
	once          sync.Once
}

func newLink(n *Network, c net.Conn, from, to int) *link {
	return &link{Conn: c, net: n, from: from, to: to, moved: make(chan struct{}), closed: make(chan struct{})}
}

// pass waits until one direction is open, or the deadline has passed.
func (l *link) pass(from, to int, deadline *time.Time) error {
	for {
		open := l.net.open(from, to)
		if open == nil {
			return nil
		}
		l.mu.Lock()
		until, moved := *deadline, l.moved
		l.mu.Unlock()
		var late <-chan time.Time
		if !until.IsZero() {
			t := time.NewTimer(time.Until(until))
			defer t.Stop()
			late = t.C
		}
		select {
		case <-open:
		case <-moved:
		case <-late:
			return os.ErrDeadlineExceeded
		case <-l.closed:
			return net.ErrClosed
		}
	}
}

// Read returns what the far end sent once its direction is open.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	if cut := l.pass(l.to, l.from, &l.read); cut != nil {
		l.Close() // these bytes are lost, and so is the stream
		return 0, cut
	}
	return n, err
}

// Write sends once its direction is open, late if the network is slow.
func (l *link) Write(p []byte) (int, error) {
	wait, reset := l.net.fate()
	if reset {
		l.Close()
		return 0, io.ErrClosedPipe
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-l.closed:
			return 0, net.ErrClosed
		}
	}
	if err := l.pass(l.from, l.to, &l.written); err != nil {
		return 0, err
	}
	return l.Conn.Write(p)
}

func (l *link) deadline(t time.Time, at ...*time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range at {
		*d = t
	}
	close(l.moved)
	l.moved = make(chan struct{})
}

// SetDeadline bounds waiting in both directions.
func (l *link) SetDeadline(t time.Time) error {
	l.deadline(t, &l.read, &l.written)
	return l.Conn.SetDeadline(t)
}

// SetReadDeadline bounds waiting for what the far end sends.
func (l *link) SetReadDeadline(t time.Time) error {
	l.deadline(t, &l.read)
	return l.Conn.SetReadDeadline(t)
}

// SetWriteDeadline bounds waiting to send.
func (l *link) SetWriteDeadline(t time.Time) error {
	l.deadline(t, &l.written)
	return l.Conn.SetWriteDeadline(t)
}

func (l *link) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

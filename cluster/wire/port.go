package wire

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	dialTimeout  = 2 * time.Second
	maxStrangers = 128  // connections that have not proved anything yet
	maxNear      = 64   // of them from one network: nobody alone keeps the members out
	maxConns     = 1024 // all connections
)

// keepAlive ends connections to hosts that vanished without saying so.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 5}

// Config is what a [Port] needs. RPC and Join must have all their methods before Listen.
type Config struct {
	Listen      string // host:port to bind
	Advertise   string // host:port by which peers reach it; default: what was bound
	Credentials *Credentials
	RPC, Join   *Mux
	Token       *Mux      // for those who know a join token; nil: nobody does
	Vouch       Vouch     // looks join tokens up
	JoinKeys    []JoinKey // prove the root key on quis-join/1; the first is in use
	Logger      *slog.Logger
	Handshake   time.Duration // how long a stranger may take to prove itself; default 5 s
	// Dial makes the connections to peers; default: the network's, with keep-alives.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Port is the one listening socket of a node and the way to its peers.
type Port struct {
	cfg       Config
	listener  net.Listener
	server    *tls.Config
	advertise string
	raft      chan net.Conn
	caller    *Caller
	ctx       context.Context
	cancel    context.CancelFunc
	strangers chan struct{}
	near      map[netip.Prefix]int // strangers by network
	serving   sync.WaitGroup
	mu        sync.Mutex
	open      map[net.Conn]*x509.Certificate // closed with the port; of nodes that called: what they showed
	strikes   strikes
	closed    bool
}

// Listen binds the port. Nobody is answered before [Port.Serve].
func Listen(cfg Config) (*Port, error) {
	if cfg.Handshake <= 0 {
		cfg.Handshake = 5 * time.Second
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext
	}
	l, err := (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(context.Background(), "tcp", cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("cluster address %s is in use by another process: choose another cluster.listen or end that process: %w", cfg.Listen, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for the cluster on %s: %w", cfg.Listen, err)
	}
	temporary, err := temporaryCert()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	p := &Port{
		cfg: cfg, listener: l, advertise: cfg.Advertise,
		raft:      make(chan net.Conn),
		strangers: make(chan struct{}, maxStrangers),
		open:      map[net.Conn]*x509.Certificate{},
		near:      map[netip.Prefix]int{},
	}
	if p.advertise == "" {
		p.advertise = l.Addr().String()
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.caller = &Caller{port: p, to: map[string]*link{}}
	p.server = cfg.Credentials.server(temporary)
	return p, nil
}

// Serve begins to serve, once, and returns. Nothing is answered before the far end
// has proved what its protocol demands.
func (p *Port) Serve() { p.serving.Go(func() { p.accept(p.server) }) }

// Advertise returns the address under which peers reach this port.
func (p *Port) Advertise() string { return p.advertise }

// Caller returns the way to make calls to peers.
func (p *Port) Caller() *Caller { return p.caller }

// Close ends the port and every connection through it, also those of Raft.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.cancel()
	err := p.listener.Close()
	for c := range p.open {
		c.Close() // being torn down; nothing is lost that is not lost anyway
	}
	p.mu.Unlock()
	p.caller.close()
	p.serving.Wait()
	return err
}

// CloseWithin closes the port and waits for calls under way no longer than limit: for a process that
// is about to end. One with a write that the system never answers would keep its sockets.
func (p *Port) CloseWithin(limit time.Duration) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		p.Close()
	}()
	select {
	case <-closed:
	case <-time.After(limit):
	}
}

func (p *Port) accept(server *tls.Config) {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, say: let others finish
			p.cfg.Logger.Warn("cluster port cannot accept", "error", err)
			select {
			case <-time.After(50 * time.Millisecond):
				continue
			case <-p.ctx.Done():
				return
			}
		}
		select {
		case p.strangers <- struct{}{}:
		default:
			c.Close() // too many that have proved nothing; they may try again
			continue
		}
		if !p.meet(c) {
			<-p.strangers
			c.Close()
			continue
		}
		if !p.track(c) {
			p.met(c)
			continue
		}
		p.serving.Go(func() { p.welcome(tls.Server(c, server), c) })
	}
}

// meet counts a stranger, and says whether there may be another of its network.
func (p *Port) meet(c net.Conn) bool {
	n := networkOf(c.RemoteAddr().String())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.near[n] >= maxNear {
		return false
	}
	p.near[n]++
	return true
}

// met makes room for another stranger: this one has proved itself, or is gone.
func (p *Port) met(c net.Conn) {
	n := networkOf(c.RemoteAddr().String())
	p.mu.Lock()
	if p.near[n]--; p.near[n] == 0 {
		delete(p.near, n)
	}
	p.mu.Unlock()
	<-p.strangers
}

// track notes an open connection, or closes it when there are too many.
func (p *Port) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.open) >= maxConns {
		c.Close()
		return false
	}
	p.open[c] = nil
	return true
}

func (p *Port) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// Recheck closes the connections of nodes whose certificate is not accepted any more: it
// has expired meanwhile, or its authority has been replaced.
func (p *Port) Recheck() {
	h := p.cfg.Credentials.current.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, leaf := range p.open {
		if leaf == nil {
			continue
		}
		if _, err := h.verify([]*x509.Certificate{leaf}, x509.ExtKeyUsageClientAuth); err != nil {
			c.Close() // whoever reads from it forgets it
		}
	}
}

// Expel closes the connections of nodes whose certificate is void: they were removed. It
// is much cheaper than [Port.Recheck].
func (p *Port) Expel() {
	h := p.cfg.Credentials.current.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, leaf := range p.open {
		if leaf == nil || h.void == nil || !h.void(strings.TrimPrefix(leaf.URIs[0].Path, "/"), AdmissionOf(leaf)) {
			continue
		}
		c.Close() // whoever reads from it forgets it
	}
}

// welcome authenticates one incoming connection and hands it to its protocol.
func (p *Port) welcome(c *tls.Conn, raw net.Conn) {
	kept := false
	defer func() {
		if !kept {
			c.Close()
			p.forget(raw)
		}
	}()
	peer, err := p.authenticate(c)
	p.met(raw)
	if err != nil {
		p.cfg.Logger.Debug("cluster port refused a connection", "remote", raw.RemoteAddr().String(), "error", err)
		return
	}
	switch c.ConnectionState().NegotiatedProtocol {
	case protoJoin:
		p.cfg.Join.serve(p.ctx, c, peer)
	case protoToken:
		p.cfg.Token.serve(p.ctx, c, peer)
	case protoRPC:
		p.cfg.RPC.serve(p.ctx, c, peer)
	case protoRaft:
		select {
		case p.raft <- &raftConn{Conn: c, done: func() { p.forget(raw) }}:
			kept = true
		case <-p.ctx.Done():
		}
	}
}

func (p *Port) authenticate(c *tls.Conn) (Peer, error) {
	deadline := time.Now().Add(p.cfg.Handshake)
	if err := c.SetDeadline(deadline); err != nil {
		return Peer{}, err
	}
	ctx, cancel := context.WithDeadline(p.ctx, deadline)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return Peer{}, err
	}
	peer := Peer{Address: c.RemoteAddr().String()}
	s := c.ConnectionState()
	switch s.NegotiatedProtocol {
	case protoJoin:
		if err := p.proveToClient(c); err != nil {
			return Peer{}, err
		}
	case protoToken:
		id, err := p.admitByToken(ctx, c)
		if err != nil {
			return Peer{}, err
		}
		peer.Token = id
	default:
		h := p.cfg.Credentials.current.Load()
		node, err := h.verify(s.PeerCertificates, x509.ExtKeyUsageClientAuth)
		if err != nil {
			return Peer{}, err
		}
		peer.NodeID = node
		p.mu.Lock()
		p.open[c.NetConn()] = s.PeerCertificates[0]
		p.mu.Unlock()
	}
	return peer, c.SetDeadline(time.Time{})
}

// dial connects to address and checks that node (empty: any member) answers there.
func (p *Port) dial(ctx context.Context, address, node, proto string) (net.Conn, error) {
	cfg, err := p.cfg.Credentials.client(proto, node)
	if err != nil {
		return nil, err
	}
	return p.dialTLS(ctx, address, cfg)
}

func (p *Port) dialTLS(ctx context.Context, address string, cfg *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := p.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("handshake with %s: %w", address, err)
	}
	return c, nil
}

// temporaryCert serves quis-join/1, where certificates prove nothing.
func temporaryCert() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make temporary certificate: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: serial, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(authorityLife)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make temporary certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	maxHeader      = 32 << 10 // bytes of an answer's header
	connectTimeout = 3 * time.Second
	totalTimeout   = 6 * time.Second
	maxRetryAfter  = 24 * time.Hour
)

// Config says what a client may reach. The zero value may reach the public Internet.
type Config struct {
	// Allow are the internal networks that operators opened, on every port.
	Allow []netip.Prefix
	// Ports are those that public addresses may be dialled on; default: 443.
	Ports []uint16
	// Loopback allows plain http and https to this machine: for development only.
	Loopback bool
	// RootCAs are whose certificates are trusted; nil: the system's.
	RootCAs *x509.CertPool
	// Resolver resolves names; nil: the system's.
	Resolver *net.Resolver

	Registerer prometheus.Registerer
}

// A Client sends requests to where strangers point. It is safe for concurrent use.
type Client struct {
	allow    []netip.Prefix
	ports    []uint16
	loopback bool
	plain    bool // http is taken
	resolver *net.Resolver
	roots    *x509.CertPool
	http     *http.Client
	gets     *gate // who sends us requests causes these
	posts    *gate // these are ours, and must not wait for those
	requests *prometheus.CounterVec
}

// New returns a client.
func New(cfg Config) *Client {
	c := &Client{
		allow: slices.Clone(cfg.Allow), ports: slices.Clone(cfg.Ports), loopback: cfg.Loopback, resolver: cfg.Resolver, roots: cfg.RootCAs,
		gets: newGate(pace{burst: 60, every: time.Second}), posts: newGate(pace{}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_outbound_requests_total", Help: "Requests sent to addresses that applications registered.",
		}, []string{"what", "result"}),
	}
	if len(c.ports) == 0 {
		c.ports = []uint16{443}
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(c.requests)
	}
	c.http = c.newHTTP()
	return c
}

// newHTTP returns what sends the requests of c, with connections of its own: one that is open
// is not checked again.
func (c *Client) newHTTP() *http.Client {
	dialer := &net.Dialer{Timeout: connectTimeout, Resolver: c.resolver, ControlContext: c.control}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.roots},
			TLSHandshakeTimeout:    connectTimeout,
			ResponseHeaderTimeout:  totalTimeout,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           32,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Apart returns a client with the same rules and with places of its own. It is for what
// strangers name, rather than what an application has registered: they have hosts
// without end, all of them slow, and would leave no place to anybody else.
func (c *Client) Apart() *Client {
	a := *c
	a.gets, a.posts = newGate(c.gets.pace), newGate(c.posts.pace)
	return &a
}

// Public is Apart for what people name who are nobody's administrators: what operators opened
// for applications is not open to them.
func (c *Client) Public() *Client {
	a := c.Apart()
	a.allow = nil
	a.http = a.newHTTP()
	return a
}

// Plain is Apart for documents that are signed themselves, which are fetched with http, too, on
// those ports that are allowed.
func (c *Client) Plain() *Client {
	a := c.Apart()
	a.plain = true
	return a
}

// control is asked between socket and connect, with the address that it goes to.
func (c *Client) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return refused("its address is not one for TCP")
	}
	return c.checkAddress(at)
}

// A Document is a kind of thing that is fetched.
type Document struct {
	Name     string   // in metrics and errors: "key set"
	Types    []string // media types that are taken
	MaxBytes int
	Header   http.Header // sent besides Accept; may be nil
}

// An Answer is a document as it came.
type Answer struct {
	Body   []byte
	MaxAge time.Duration // what the other side says about its age; negative: nothing, 0: do not keep
}

// Get fetches a document now, uncached: for what is wanted once. It asks at most once.
// Errors are *Error.
func (c *Client) Get(ctx context.Context, url string, d Document) (Answer, error) {
	a, err := c.get(ctx, url, d)
	c.count(d.Name, err)
	return a, err
}

func (c *Client) get(ctx context.Context, url string, d Document) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	header := http.Header{}
	maps.Copy(header, d.Header)
	header.Set("Accept", strings.Join(d.Types, ", "))
	resp, leave, err := c.send(ctx, c.gets, http.MethodGet, url, d.Name, nil, header)
	if err != nil {
		return Answer{}, err
	}
	defer leave()
	host := resp.Request.URL.Host
	wrong := func(why string) (Answer, error) {
		return Answer{}, &Error{Kind: ErrAnswer, What: d.Name, Host: host, Detail: why}
	}
	if resp.StatusCode != http.StatusOK {
		if resp.StatusCode/100 == 3 {
			return wrong("it redirects, and redirects are not followed")
		}
		return wrong("status " + strconv.Itoa(resp.StatusCode))
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || !slices.Contains(d.Types, t) {
		return wrong("its Content-Type must be " + strings.Join(d.Types, " or "))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(d.MaxBytes)+1))
	if err != nil {
		return Answer{}, about(classify(err), d.Name, host)
	}
	if len(body) > d.MaxBytes {
		return wrong("it is larger than " + strconv.Itoa(d.MaxBytes) + " bytes")
	}
	return Answer{Body: body, MaxAge: maxAge(resp.Header)}, nil
}

// A Message is what an application is told.
type Message struct {
	Name   string // in metrics and errors: "logout token"
	Type   string // media type of the body
	Body   []byte
	Bearer string      // token for the Authorization header; may be empty
	Header http.Header // sent besides; may be nil
}

// A Receipt is how an application answered. Its words are not kept.
type Receipt struct {
	Status     int
	RetryAfter time.Duration // when it wants to be asked again; 0: it does not say
}

// Post sends a message once. An answer of any status is a Receipt; errors are *Error.
func (c *Client) Post(ctx context.Context, url string, m Message) (Receipt, error) {
	r, err := c.post(ctx, url, m)
	c.count(m.Name, err)
	return r, err
}

// Push sends a message to the push service of a browser, as push.Config.Post wants it.
func (c *Client) Push(ctx context.Context, url string, h http.Header, body []byte) (status int, err error) {
	r, err := c.Post(ctx, url, Message{Name: "push message", Type: h.Get("Content-Type"), Header: h, Body: body})
	return r.Status, err
}

func (c *Client) post(ctx context.Context, url string, m Message) (Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	h := http.Header{}
	maps.Copy(h, m.Header)
	h.Set("Content-Type", m.Type)
	if m.Bearer != "" {
		h.Set("Authorization", "Bearer "+m.Bearer)
	}
	resp, leave, err := c.send(ctx, c.posts, http.MethodPost, url, m.Name, m.Body, h)
	if err != nil {
		return Receipt{}, err
	}
	defer leave()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
	r := Receipt{Status: resp.StatusCode}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		r.RetryAfter = min(time.Duration(min(n, 1<<20))*time.Second, maxRetryAfter)
	}
	return r, nil
}

// send has one request answered; leave gives back its place.
func (c *Client) send(ctx context.Context, g *gate, method, url, what string, body []byte, h http.Header) (*http.Response, func(), error) {
	if err := c.Check(url); err != nil {
		return nil, nil, about(err, what, "")
	}
	var r io.Reader // a nil *bytes.Reader would be a body
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return nil, nil, &Error{Kind: ErrRefused, What: what, Detail: "is not an absolute URL"}
	}
	req.Header = h
	req.Header.Set("User-Agent", "quis")
	leave, err := g.enter(ctx, strings.ToLower(req.URL.Host))
	if err != nil {
		return nil, nil, about(err, what, req.URL.Host)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		leave()
		return nil, nil, about(classify(err), what, req.URL.Host)
	}
	return resp, func() { resp.Body.Close(); leave() }, nil
}

func (c *Client) count(what string, err error) {
	result := "ok"
	for kind, label := range map[error]string{ErrRefused: "refused", ErrUnreachable: "unreachable", ErrAnswer: "answer", ErrBusy: "busy"} {
		if errors.Is(err, kind) {
			result = label
		}
	}
	c.requests.WithLabelValues(what, result).Inc()
}

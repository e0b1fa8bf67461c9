package fetch

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var things = Document{Name: "thing", Types: []string{"application/json"}, MaxBytes: 64}

// serve starts a TLS server on this machine and a client to which exactly its address is open.
func serve(t *testing.T, h http.HandlerFunc) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, RootCAs: roots}), s
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Cache-Control", "max-age=120")
		_, _ = io.WriteString(w, body)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	c, s := serve(t, answer(`{"a":1}`))
	a, err := c.Get(t.Context(), s.URL+"/x", things)
	if err != nil || string(a.Body) != `{"a":1}` || a.MaxAge != 2*time.Minute {
		t.Fatalf("%q %v %v", a.Body, a.MaxAge, err)
	}
}

func TestGetRefusesWrongAnswers(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"status": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hush", 500) },
		"no type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "hush")
		},
		"type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "hush")
		},
		"large": answer(strings.Repeat("hush", 17)),
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "50")
			answer("hush")(w, nil)
		},
		"garbage": func(w http.ResponseWriter, _ *http.Request) { raw(w, "hush hush\r\n\r\n") },
		"header": func(w http.ResponseWriter, _ *http.Request) {
			raw(w, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("hush", 20_000)+"\r\n\r\n")
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/hush", http.StatusFound) },
	} {
		c, s := serve(t, h)
		_, err := c.Get(t.Context(), s.URL, things)
		if !errors.Is(err, ErrAnswer) && !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error quotes the other side: %v", name, err)
		}
	}
}

// raw answers with bytes that need not be HTTP.
func raw(w http.ResponseWriter, s string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, s)
	conn.Close()
}

func TestRefusesRedirectToLoopback(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(inner.Close)
	c, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inner.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Get(t.Context(), s.URL, things); !errors.Is(err, ErrAnswer) {
		t.Errorf("get: %v", err)
	}
	if r, err := c.Post(t.Context(), s.URL, Message{Name: "news", Type: "text/plain", Body: []byte("x")}); err != nil || r.Status != 307 {
		t.Errorf("post: %+v %v", r, err)
	}
	if reached.Load() {
		t.Error("a redirect was followed")
	}
}

func TestRefusesLoopbackWithoutLeave(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(s.Close)
	c := New(Config{Ports: []uint16{443}})
	if _, err := c.Get(t.Context(), s.URL, things); !errors.Is(err, ErrRefused) {
		t.Errorf("get: %v", err)
	}
	if _, err := c.Post(t.Context(), s.URL, Message{}); !errors.Is(err, ErrRefused) {
		t.Errorf("post: %v", err)
	}
	if reached.Load() {
		t.Error("it was reached")
	}
}

func TestRefusesDNSRebinding(t *testing.T) {
	t.Parallel()
	c, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		answer(`{}`)(w, r)
	})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	var asked atomic.Int32
	resolver := nameServer(t, func(string) [4]byte { // the first answer is where all is well, the next one is not
		if asked.Add(1) == 1 {
			return [4]byte{127, 0, 0, 1}
		}
		return [4]byte{127, 0, 0, 2}
	})
	inner, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	reached := make(chan struct{})
	go func() {
		if conn, err := inner.Accept(); err == nil {
			conn.Close()
			close(reached)
		}
	}()
	c = New(Config{Allow: c.allow, RootCAs: c.http.Transport.(*http.Transport).TLSClientConfig.RootCAs, Resolver: resolver})
	at := "https://example.com:" + port
	if _, err := c.Get(t.Context(), at, things); err != nil {
		t.Fatalf("first: %v", err)
	}
	c.http.CloseIdleConnections()
	if _, err := c.Get(t.Context(), at, things); !errors.Is(err, ErrRefused) {
		t.Fatalf("after rebinding: %v", err)
	}
	select {
	case <-reached:
		t.Fatal("the inner server was dialled")
	default:
	}
}

func TestRefusesNamesOfInternalAddresses(t *testing.T) {
	t.Parallel()
	for _, ip := range [][4]byte{{127, 0, 0, 1}, {10, 0, 0, 1}, {169, 254, 169, 254}, {0, 0, 0, 0}, {100, 64, 0, 1}} {
		c := New(Config{Resolver: nameServer(t, func(string) [4]byte { return ip })})
		if _, err := c.Get(t.Context(), "https://inner.example.com/", things); !errors.Is(err, ErrRefused) {
			t.Errorf("%v: %v", ip, err)
		}
	}
}

func TestIgnoresProxyOfEnvironment(t *testing.T) {
	var reached atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer proxy.Close()
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("https_proxy", proxy.URL)
	c := New(Config{Resolver: nameServer(t, func(string) [4]byte { return [4]byte{127, 0, 0, 1} })})
	if _, err := c.Get(t.Context(), "https://example.com/", things); !errors.Is(err, ErrRefused) || reached.Load() {
		t.Errorf("%v, proxy asked: %v", err, reached.Load())
	}
}

func TestPost(t *testing.T) {
	t.Parallel()
	c, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || string(body) != "a=b" || r.Header.Get("Authorization") != "Bearer t" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%s %q %v", r.Method, body, r.Header)
		}
		w.Header().Set("Retry-After", "7")
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for range 2 {
		r, err := c.Post(t.Context(), s.URL, Message{Name: "news", Type: "application/x-www-form-urlencoded", Body: []byte("a=b"), Bearer: "t"})
		if err != nil || r.Status != 503 || r.RetryAfter != 7*time.Second {
			t.Fatalf("%+v %v", r, err)
		}
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	c, s := serve(t, answer("{}"))
	c = New(Config{Allow: c.allow})
	_, err := c.Get(t.Context(), s.URL, things)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "not trusted") {
		t.Error(err)
	}
}

func TestSlowHostEndsInTime(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c, s := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Get(ctx, s.URL, things); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "in time") {
		t.Error(err)
	}
}

// TestSlowHostsOfStrangersTakeNoPlacesOfOthers: a wildcard in the DNS is as many hosts as one wants.
func TestSlowHostsOfStrangersTakeNoPlacesOfOthers(t *testing.T) {
	t.Parallel()
	c, good := serve(t, answer("{}"))
	release, begun := make(chan struct{}), make(chan struct{}, maxTotal)
	a := c.Apart()
	var all sync.WaitGroup
	for range maxTotal / maxPerHost {
		_, slow := serve(t, func(http.ResponseWriter, *http.Request) { begun <- struct{}{}; <-release })
		for range maxPerHost {
			all.Go(func() { _, _ = a.Get(t.Context(), slow.URL, things) })
		}
	}
	for range maxTotal {
		<-begun
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Get(ctx, good.URL, things); !errors.Is(err, ErrBusy) {
		t.Errorf("strangers have more places than there are: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), totalTimeout/2) // before the slow ones are given up
	defer cancel()
	if _, err := c.Get(ctx, good.URL, things); err != nil {
		t.Errorf("an application's own: %v", err)
	}
	close(release)
	all.Wait()
}

func TestGateBoundsHosts(t *testing.T) {
	t.Parallel()
	g := newGate(pace{burst: 6, every: time.Hour})
	var leave []func()
	for range maxPerHost {
		f, err := g.enter(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.enter(ctx, "a"); !errors.Is(err, ErrBusy) {
		t.Errorf("a fifth at once: %v", err)
	}
	if f, err := g.enter(t.Context(), "b"); err != nil {
		t.Errorf("another host: %v", err)
	} else {
		f()
	}
	for _, f := range leave {
		f()
	}
	if f, err := g.enter(t.Context(), "a"); err != nil {
		t.Errorf("sixth of the burst: %v", err)
	} else {
		f()
	}
	if _, err := g.enter(t.Context(), "a"); !errors.Is(err, ErrBusy) {
		t.Errorf("beyond the burst: %v", err)
	}
	for i := range maxHosts {
		_, _ = g.join(string(binary.BigEndian.AppendUint32(nil, uint32(i))), time.Now())
	}
	if _, err := g.join("one more", time.Now()); !errors.Is(err, ErrBusy) || len(g.hosts) > maxHosts {
		t.Errorf("more hosts than are remembered: %d, %v", len(g.hosts), err)
	}
}

// nameServer is a DNS server on loopback that answers every question for an IPv4 address with ip.
func nameServer(t *testing.T, ip func(name string) [4]byte) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if a := nameAnswer(buf[:n], ip); a != nil {
				_, _ = pc.WriteTo(a, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func nameAnswer(q []byte, ip func(string) [4]byte) []byte {
	end := 12
	var labels []string
	for end < len(q) && q[end] != 0 {
		labels = append(labels, string(q[end+1:end+1+int(q[end])]))
		end += 1 + int(q[end])
	}
	end += 5
	if end > len(q) {
		return nil
	}
	kind := binary.BigEndian.Uint16(q[end-4:])
	a := append([]byte{}, q[:end]...)
	copy(a[2:12], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	if kind == 1 {
		a[7] = 1
		addr := ip(strings.Join(labels, "."))
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		a = append(a, addr[:]...)
	}
	return a
}

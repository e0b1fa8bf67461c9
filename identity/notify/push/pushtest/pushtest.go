// Package pushtest is the other side of Web Push, for tests: a browser that can read what is
// sent to it, and a push service that takes messages and looks at who sends them.
//
// It is written from the specifications (RFC 8030, 8188, 8291, 8292) and shares no code with
// package push, so that both cannot be wrong in the same way.
package pushtest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Browser has the keys of a subscription.
type Browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

// NewBrowser returns a browser with keys of its own.
func NewBrowser() (*Browser, error) {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	b := &Browser{key, make([]byte, 16)}
	rand.Read(b.auth)
	return b, err
}

// P256DH is the public key as scripts see it.
func (b *Browser) P256DH() string {
	return base64.RawURLEncoding.EncodeToString(b.key.PublicKey().Bytes())
}

// Auth is the secret as scripts see it.
func (b *Browser) Auth() string { return base64.RawURLEncoding.EncodeToString(b.auth) }

// Read decrypts the body of a message.
func (b *Browser) Read(body []byte) ([]byte, error) {
	if len(body) < 86 || binary.BigEndian.Uint32(body[16:20]) != 4096 || body[20] != 65 {
		return nil, fmt.Errorf("header of a message of %d bytes", len(body))
	}
	salt, server, box := body[:16], body[21:86], body[86:]
	public, err := ecdh.P256().NewPublicKey(server)
	if err != nil {
		return nil, err
	}
	shared, err := b.key.ECDH(public)
	if err != nil {
		return nil, err
	}
	first := sum(b.auth, shared)
	ikm := sum(first, []byte("WebPush: info\x00"), b.key.PublicKey().Bytes(), server, []byte{1})
	prk := sum(salt, ikm)
	block, err := aes.NewCipher(sum(prk, []byte("Content-Encoding: aes128gcm\x00\x01"))[:16])
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, sum(prk, []byte("Content-Encoding: nonce\x00\x01"))[:12], box, nil)
	if err != nil {
		return nil, err
	}
	plain = []byte(strings.TrimRight(string(plain), "\x00"))
	if n := len(plain); n == 0 || plain[n-1] != 2 {
		return nil, errors.New("the last record does not say that it is")
	}
	return plain[:len(plain)-1], nil
}

func sum(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// A Message is what the service was sent.
type Message struct {
	Path   string
	Header http.Header
	Body   []byte
	Key    []byte // that it is signed with
	Err    error  // what is wrong with it
}

// A Service is a push service on this machine.
type Service struct {
	*httptest.Server
	Messages chan Message // as they came; it holds 100

	mu     sync.Mutex
	status map[string]int // by path; else 201
	skew   time.Duration  // of its clock
}

// NewService starts a service for the length of a test.
func NewService(t testing.TB) *Service {
	t.Helper()
	s := &Service{Messages: make(chan Message, 100), status: map[string]int{}}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.take))
	t.Cleanup(s.Close)
	return s
}

// Answer has the service answer messages to a path with a status from now on.
func (s *Service) Answer(path string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status[path] = status
}

// Advance moves the service's clock forward.
func (s *Service) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew += d
}

// Post sends to the service without any guard, as push.Config.Post does.
func (s *Service) Post(ctx context.Context, url string, h http.Header, body []byte) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header = h
	resp, err := s.Client().Transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (s *Service) take(w http.ResponseWriter, r *http.Request) {
	m := Message{Path: r.URL.Path, Header: r.Header}
	m.Body, m.Err = io.ReadAll(http.MaxBytesReader(w, r.Body, 4096))
	if m.Err == nil && (r.Method != http.MethodPost || r.Header.Get("Content-Encoding") != "aes128gcm") {
		m.Err = fmt.Errorf("%s, encoded as %q", r.Method, r.Header.Get("Content-Encoding"))
	}
	s.mu.Lock()
	status, now := s.status[r.URL.Path], time.Now().Add(s.skew)
	s.mu.Unlock()
	if m.Err == nil {
		m.Key, m.Err = signed(r.Header.Get("Authorization"), s.URL, now)
	}
	if status == 0 {
		status = http.StatusCreated
	}
	w.WriteHeader(status)
	s.Messages <- m
}

// signed checks who sends, and returns their key.
func signed(header, origin string, now time.Time) ([]byte, error) {
	token, key, ok := strings.Cut(strings.TrimPrefix(header, "vapid t="), ", k=")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 || !strings.HasPrefix(header, "vapid ") {
		return nil, fmt.Errorf("authorization %q", header)
	}
	var raw [4][]byte
	for i, part := range append(parts, key) {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return nil, err
		}
	}
	var head struct{ Typ, Alg string }
	var claims struct {
		Aud, Sub string
		Exp      int64
	}
	if err := errors.Join(json.Unmarshal(raw[0], &head), json.Unmarshal(raw[1], &claims)); err != nil {
		return nil, err
	}
	if left := time.Unix(claims.Exp, 0).Sub(now); head.Alg != "ES256" || claims.Aud != origin || left <= 0 || left > 24*time.Hour || !strings.Contains(claims.Sub, ":") {
		return nil, fmt.Errorf("token %+v %+v", head, claims)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw[3])
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if len(raw[2]) != 64 || !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(raw[2][:32]), new(big.Int).SetBytes(raw[2][32:])) {
		return nil, errors.New("the signature is wrong")
	}
	return raw[3], nil
}

package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const endpoint = "https://id.example.com/oauth2/token"

var (
	mine  = sync.OnceValue(func() *ecdsa.PrivateKey { k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return k })
	yours = sync.OnceValue(func() *ecdsa.PrivateKey { k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return k })
)

// A house is nodes that share a sealing ring, and a clock.
type house struct {
	t     testing.TB
	now   time.Time
	nodes []*Verifier
}

func newHouse(t testing.TB, size int) *house {
	t.Helper()
	h := &house{t: t, now: time.Unix(1_900_000_000, 0)}
	cluster := fsmtest.NewCluster(t, size, seal.Tables...)
	for _, ring := range sealtest.Rings(t, cluster.DB...) {
		h.nodes = append(h.nodes, New(ring, func() time.Time { return h.now }))
	}
	return h
}

var proofs int

func (h *house) claims(change ...func(map[string]any)) map[string]any {
	proofs++
	c := map[string]any{"htm": "POST", "htu": endpoint, "iat": h.now.Unix(), "jti": fmt.Sprintf("proof-%d", proofs)}
	for _, f := range change {
		f(c)
	}
	return c
}

func set(k string, v any) func(map[string]any) { return func(c map[string]any) { c[k] = v } }
func del(k string) func(map[string]any)        { return func(c map[string]any) { delete(c, k) } }

func prove(t testing.TB, key crypto.Signer, alg, typ string, claims any) string {
	t.Helper()
	opts := (&jose.SignerOptions{EmbedJWK: true}).WithType(jose.ContentType(typ))
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(claims)
	jws, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := jws.CompactSerialize()
	return text
}

func (h *house) proof(change ...func(map[string]any)) string {
	return prove(h.t, mine(), "ES256", "dpop+jwt", h.claims(change...))
}

func wanted() Wanted { return Wanted{Tenant: "default", Method: "POST", URL: endpoint} }

func (h *house) refuses(what, proof string, w Wanted, kind error) {
	h.t.Helper()
	if _, err := h.nodes[0].Verify([]string{proof}, w); !errors.Is(err, kind) {
		h.t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func TestTakesAProof(t *testing.T) {
	h := newHouse(t, 1)
	thumb, _ := (&jose.JSONWebKey{Key: mine().Public()}).Thumbprint(crypto.SHA256)
	for _, htu := range []string{endpoint, "HTTPS://ID.Example.COM/oauth2/token", "https://id.example.com:443/oauth2/token", endpoint + "?a=b#c"} {
		p, err := h.nodes[0].Verify([]string{h.proof(set("htu", htu))}, wanted())
		if err != nil || p.Key != base64.RawURLEncoding.EncodeToString(thumb) || p.Nonce != "" {
			t.Errorf("%s: %+v %v", htu, p, err)
		}
	}
}

func TestRefusesReplayedProof(t *testing.T) {
	h := newHouse(t, 1)
	proof := h.proof()
	if _, err := h.nodes[0].Verify([]string{proof}, wanted()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.refuses("again", proof, wanted(), ErrProof)
		h.now = h.now.Add(past / 2)
	}
	same := set("jti", "the-same-id")
	for _, key := range []*ecdsa.PrivateKey{mine(), yours()} {
		if _, err := h.nodes[0].Verify([]string{prove(t, key, "ES256", "dpop+jwt", h.claims(same))}, wanted()); err != nil {
			t.Errorf("one jti of two keys: %v", err)
		}
	}
	h.refuses("another proof of the same jti", h.proof(same), wanted(), ErrProof)
}

// TestRefusesReplayedProofInARace: of many at once, one is taken.
func TestRefusesReplayedProofInARace(t *testing.T) {
	h := newHouse(t, 1)
	proof := h.proof()
	var taken sync.Map
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := h.nodes[0].Verify([]string{proof}, wanted()); err == nil {
				taken.Store(i, true)
			}
		})
	}
	wg.Wait()
	n := 0
	taken.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("taken %d times", n)
	}
}

func TestRefusesProofOfSomethingElse(t *testing.T) {
	h := newHouse(t, 1)
	token := "an-access-token"
	sum := sha256.Sum256([]byte(token))
	ath := base64.RawURLEncoding.EncodeToString(sum[:])
	with := wanted()
	with.Token = token
	if _, err := h.nodes[0].Verify([]string{h.proof(set("ath", ath))}, with); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(map[string]any){
		"another method":   set("htm", "GET"),
		"method in lower":  set("htm", "post"),
		"no method":        del("htm"),
		"another path":     set("htu", "https://id.example.com/oauth2/userinfo"),
		"encoded path":     set("htu", "https://id.example.com/oauth2/%74oken"),
		"another tenant":   set("htu", "https://id.example.com/t/acme/oauth2/token"),
		"another host":     set("htu", "https://evil.example/oauth2/token"),
		"another port":     set("htu", "https://id.example.com:8443/oauth2/token"),
		"another scheme":   set("htu", "http://id.example.com/oauth2/token"),
		"user in the URL":  set("htu", "https://id.example.com@evil.example/oauth2/token"),
		"user in front":    set("htu", "https://evil@id.example.com/oauth2/token"),
		"a path only":      set("htu", "/oauth2/token"),
		"no URL":           del("htu"),
		"no iat":           del("iat"),
		"old":              set("iat", h.now.Add(-past-time.Second).Unix()),
		"of the future":    set("iat", h.now.Add(ahead+time.Second).Unix()),
		"iat as text":      set("iat", "1900000000"),
		"no jti":           del("jti"),
		"long jti":         set("jti", strings.Repeat("x", maxID+1)),
		"another token":    set("ath", base64.RawURLEncoding.EncodeToString(make([]byte, 32))),
		"no token":         del("ath"),
		"nonce is no text": set("nonce", 1),
	} {
		h.refuses(what, h.proof(set("ath", ath), change), with, ErrProof)
	}
	with.Key = "another-thumbprint"
	h.refuses("another key", h.proof(set("ath", ath)), with, ErrProof)
}

func TestRefusesProofWithAnotherKindOfKey(t *testing.T) {
	h := newHouse(t, 1)
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	body, _ := json.Marshal(h.claims())
	private, _ := json.Marshal(jose.JSONWebKey{Key: mine()})
	good := h.proof()
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	forged := prove(t, mine(), "ES256", "dpop+jwt", h.claims())
	for what, proof := range map[string]string{
		"symmetric": encode(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`) + "." + encode(string(body)) + "." + encode("mac"),
		"private":   encode(`{"typ":"dpop+jwt","alg":"ES256","jwk":`+string(private)+`}`) + "." + encode(string(body)) + "." + encode("sig"),
		"none":      encode(`{"typ":"dpop+jwt","alg":"none"}`) + "." + encode(string(body)) + ".",
		"no key":    encode(`{"typ":"dpop+jwt","alg":"ES256"}`) + "." + encode(string(body)) + "." + encode("sig"),
		"typ JWT":   prove(t, mine(), "ES256", "JWT", h.claims()),
		"garbage":   "garbage",
		"empty":     "",
		"two":       good + ", " + forged,
		"long":      good + strings.Repeat("A", maxProof),
		"weak":      prove(t, weak, "RS256", "dpop+jwt", h.claims()),
		"of others": strings.Split(prove(t, yours(), "ES256", "dpop+jwt", h.claims()), ".")[0] + "." + strings.SplitN(good, ".", 2)[1],
	} {
		h.refuses(what, proof, wanted(), ErrProof)
	}
	for _, headers := range [][]string{nil, {good, good}} {
		if _, err := h.nodes[0].Verify(headers, wanted()); !errors.Is(err, ErrProof) {
			t.Errorf("%d headers: %v", len(headers), err)
		}
	}
}

func TestNoncesOfAnyNode(t *testing.T) {
	h := newHouse(t, 3)
	w := wanted()
	w.Nonce = true
	h.refuses("no nonce", h.proof(), w, ErrNonce)
	nonce, err := h.nodes[1].Nonce("default")
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range h.nodes {
		if p, err := n.Verify([]string{h.proof(set("nonce", nonce))}, w); err != nil || p.Nonce != "" {
			t.Errorf("node %d: %+v %v", i, p, err)
		}
	}
	h.now = h.now.Add(nonceLife)
	p, err := h.nodes[2].Verify([]string{h.proof(set("nonce", nonce))}, w)
	if err != nil || p.Nonce == "" || p.Nonce == nonce {
		t.Errorf("after a minute: %+v %v, want a new nonce", p, err)
	}
	h.now = h.now.Add(nonceLife)
	h.refuses("nonce of two minutes ago", h.proof(set("nonce", nonce)), w, ErrNonce)
	h.refuses("old nonce where none is demanded", h.proof(set("nonce", nonce)), wanted(), ErrNonce)
	other, _ := h.nodes[0].Nonce("another")
	h.refuses("nonce of another tenant", h.proof(set("nonce", other)), w, ErrNonce)
	h.refuses("garbage", h.proof(set("nonce", strings.Repeat("A", len(nonce)))), w, ErrNonce)
	h.refuses("empty", h.proof(set("nonce", "")), wanted(), ErrNonce)
}

func TestMemoryIsBounded(t *testing.T) {
	now := time.Unix(1_900_000_000, 0)
	m := newMemory(4, time.Minute)
	for i := range 100 {
		if !m.first("k", fmt.Sprint(i), now) || m.first("k", fmt.Sprint(i), now) {
			t.Fatal(i)
		}
		if len(m.young)+len(m.old) > 8 {
			t.Fatalf("%d proofs are held", len(m.young)+len(m.old))
		}
	}
	m = newMemory(1000, time.Minute)
	m.first("k", "a", now)
	for range 3 {
		now = now.Add(20 * time.Second)
		if m.first("k", "a", now) {
			t.Error("forgotten too early")
		}
	}
	if now = now.Add(3 * time.Minute); !m.first("k", "b", now) || len(m.old) != 0 {
		t.Error("kept what nobody can send any more")
	}
}

func FuzzVerify(f *testing.F) {
	h := newHouse(f, 1)
	good := h.proof()
	f.Add(good)
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add(prove(f, mine(), "ES256", "JWT", h.claims()))
	f.Fuzz(func(t *testing.T, proof string) {
		p, err := h.nodes[0].Verify([]string{proof}, wanted())
		if err != nil && !errors.Is(err, ErrProof) && !errors.Is(err, ErrNonce) {
			t.Fatal(err)
		}
		if err == nil && len(p.Key) != 43 {
			t.Fatalf("%q passes as %+v", proof, p)
		}
	})
}

func FuzzSameURL(f *testing.F) {
	f.Add("https://id.example.com:443/oauth2/token?x")
	f.Add("https://id.example.com\\@evil.example/oauth2/token")
	f.Fuzz(func(t *testing.T, htu string) {
		if sameURL(htu, endpoint) && !strings.HasPrefix(strings.ToLower(htu), "https://id.example.com") {
			t.Fatalf("%q", htu)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := newHouse(b, 1)
	var list []string
	for range b.N {
		list = append(list, h.proof())
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := h.nodes[0].Verify(list[i:i+1], wanted()); err != nil {
			b.Fatal(err)
		}
	}
}

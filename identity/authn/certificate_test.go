package authn_test

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// trust makes the house trust a new authority, whose certificates name users by their common name.
func (h *house) trust(t testing.TB, change func(a *certificate.Authority)) (*certificatetest.Authority, *certificate.Authority) {
	t.Helper()
	ca := certificatetest.New(t, "People", nil)
	a := certificate.Authority{
		Tenant: ten, Name: "People", Certificate: ca.Cert.Raw, Revocation: certificate.RevocationOff,
		Rules: []certificate.Rule{{From: certificate.FromCommonName, To: certificate.ToUsername}, {From: certificate.FromAdded}},
	}
	if change != nil {
		change(&a)
	}
	var made *certificate.Authority
	h.update(t, 0, func(tx *fsm.Tx) (err error) { made, err = certificate.Add(tx, a); return err })
	return ca, made
}

// show is a flow, and a browser, in which a certificate has been shown.
func (n *node) show(t testing.TB, ctx context.Context, f *authn.Flow, cert *x509.Certificate) *authn.Flow {
	t.Helper()
	shown, err := n.Show(ctx, f.Sealed(), []*x509.Certificate{cert})
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

func TestCertificateAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	n, ctx := h.nodes[0], from(t, "192.0.2.1")
	if open, err := n.Open(ctx, n.fresh(t, ctx)); err != nil || open.Certificate {
		t.Errorf("offered where nobody is trusted: %v", err)
	}
	ca, _ := h.trust(t, nil)
	if open, err := n.Open(ctx, n.fresh(t, ctx)); err != nil || !open.Certificate {
		t.Errorf("not offered: %v", err)
	}
	sealed, binding := n.begin(t, ctx)
	before := h.Entries()
	f := h.nodes[1].load(t, ctx, n.show(t, ctx, n.load(t, ctx, sealed, binding), ca.Person(t, "ann").Leaf).Sealed(), binding)
	if h.Entries() != before {
		t.Error("showing a certificate cost an entry")
	}
	r, err := h.nodes[1].Certificate(ctx, f)
	if err != nil || r.Step != authn.StepDone || r.Session.UserID != h.ann.ID || r.Session.Level() != 2 || !slices.Equal(r.Session.AMR, []string{"mfa", "swk"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := h.Entries() - before; got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
	if n.checks.Load()+h.nodes[1].checks.Load() != 0 {
		t.Error("a password was checked")
	}
	if _, err := h.nodes[1].Certificate(ctx, f); !errors.Is(err, authn.ErrDeadFlow) && !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("the flow twice: %v", err)
	}
}

// What a certificate is worth is what its authority's administrator declares.
func TestCertificateLevels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key     string
		pinless bool
		level   assurance.Level
		amr     string
	}{
		{certificate.KeySoftware, false, 2, "mfa swk"},
		{certificate.KeySoftware, true, 1, "swk"},
		{certificate.KeyHardware, false, 3, "hwk mfa"},
		{certificate.KeyHardware, true, 1, "hwk"},
		{certificate.KeySmartCard, false, 3, "mfa sc"},
	} {
		h := newHouse(t, 1)
		ca, _ := h.trust(t, func(a *certificate.Authority) { a.Key, a.Pinless = c.key, c.pinless })
		n, ctx := h.nodes[0], from(t, "192.0.2.1")
		r, err := n.Certificate(ctx, n.show(t, ctx, n.fresh(t, ctx), ca.Person(t, "ann").Leaf))
		if err != nil || r.Session.Level() != c.level || strings.Join(r.Session.AMR, " ") != c.amr || !assurance.Resistant(r.Session.Factors) {
			t.Errorf("%+v: level %d, %v, %v", c, r.Session.Level(), r.Session.AMR, err)
		}
	}
}

// TestRefusedCertificates: what lets nobody in is told in events, once for all of a kind.
func TestRefusedCertificates(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	ca, made := h.trust(t, nil)
	stranger := certificatetest.New(t, "Strangers", nil)
	lost := ca.Person(t, "ann").Leaf
	h.update(t, 0, func(tx *fsm.Tx) error {
		_, err := certificate.Upload(tx, ten, made.ID, ca.List(t, 1, []*x509.Certificate{lost}))
		return err
	})
	n, ctx := h.nodes[0], from(t, "192.0.2.1")
	for want, cert := range map[certificate.Reason]*x509.Certificate{
		certificate.Untrusted: stranger.Person(t, "ann").Leaf,
		certificate.Expired:   ca.Person(t, "ann", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }).Leaf,
		certificate.Purpose:   ca.Person(t, "ann", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }).Leaf,
		certificate.Revoked:   lost,
		certificate.Nobody:    ca.Person(t, "eve").Leaf,
	} {
		for range 2 {
			_, err := n.Show(ctx, n.fresh(t, ctx).Sealed(), []*x509.Certificate{cert})
			if why, ok := errors.AsType[*certificate.Refused](err); !ok || why.Reason != want || !errors.Is(err, identity.ErrUnauthenticated) {
				t.Errorf("%s: %v", want, err)
			}
		}
	}
	if err := n.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	told := h.events(t, event.SigninFailed)
	if len(told) != 5 {
		t.Fatalf("%d events, want 5", len(told))
	}
	for _, e := range told {
		if e.Data["method"] != "certificate" || !strings.HasPrefix(e.Data["reason"], "certificate_") || e.Data["count"] != "2" || e.Request.IP != "192.0.2.1" {
			t.Errorf("%+v", e)
		}
	}
}

// Between showing and finishing things change: the end looks again.
func TestCertificateIsJudgedAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(h *house, ca *certificatetest.Authority, a *certificate.Authority, cert *x509.Certificate, tx *fsm.Tx) error{
		"revoked": func(h *house, ca *certificatetest.Authority, a *certificate.Authority, cert *x509.Certificate, tx *fsm.Tx) error {
			_, err := certificate.Upload(tx, ten, a.ID, ca.List(t, 1, []*x509.Certificate{cert}))
			return err
		},
		"authority removed": func(h *house, _ *certificatetest.Authority, a *certificate.Authority, _ *x509.Certificate, tx *fsm.Tx) error {
			return certificate.Remove(tx, ten, a.ID, 0)
		},
		"user disabled": func(h *house, _ *certificatetest.Authority, _ *certificate.Authority, _ *x509.Certificate, tx *fsm.Tx) error {
			_, err := directory.UpdateUser(tx, ten, h.ann.ID, 0, func(u *directory.User) error { u.Disabled = true; return nil })
			return err
		},
	} {
		h := newHouse(t, 2)
		ca, made := h.trust(t, nil)
		cert := ca.Person(t, "ann").Leaf
		n, ctx := h.nodes[0], from(t, "192.0.2.1")
		f := n.show(t, ctx, n.fresh(t, ctx), cert)
		h.update(t, 1, func(tx *fsm.Tx) error { return change(h, ca, made, cert, tx) })
		if r, err := n.Certificate(ctx, f); err == nil || !errors.Is(err, identity.ErrUnauthenticated) && !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	h := newHouse(t, 1)
	ca, _ := h.trust(t, nil)
	n, ctx := h.nodes[0], from(t, "192.0.2.1")
	f := n.show(t, ctx, n.fresh(t, ctx), ca.Person(t, "ann").Leaf)
	h.Pass(t, 3*time.Minute)
	if _, err := n.Certificate(ctx, f); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("shown three minutes ago: %v", err)
	}
}

// What OCSP calls revoked between showing and finishing lets nobody in, at whatever node; who goes on
// at once is not asked about twice, and what is too long to be carried is not asked about again.
func TestCertificateIsAskedAboutAgain(t *testing.T) {
	t.Parallel()
	const isGood, isRevoked = 0, 1 // RFC 6960, section 4.2.1
	long := "http://ocsp.example.com/" + strings.Repeat("x", 400)
	for name, c := range map[string]struct {
		at    string
		later time.Duration
		then  int
		asked int
		in    bool
	}{
		"good, later":    {"http://ocsp.example.com", time.Minute, isGood, 2, true},
		"revoked, later": {"http://ocsp.example.com", time.Minute, isRevoked, 2, false},
		"at once":        {"http://ocsp.example.com", 0, isRevoked, 1, true},
		"too long":       {long, time.Minute, isRevoked, 1, true},
	} {
		h := newHouse(t, 2)
		ca, _ := h.trust(t, func(a *certificate.Authority) { a.Revocation, a.Ask = certificate.RevocationRequired, true })
		cert := ca.Person(t, "ann", func(cert *x509.Certificate) { cert.OCSPServer = []string{c.at} }).Leaf
		status, asked := isGood, 0
		for _, n := range h.nodes {
			n.desk.Revocation.OCSP = func(_ context.Context, at string) ([]byte, error) {
				if !strings.HasPrefix(at, c.at) {
					t.Errorf("%s: asked at %s", name, at)
				}
				asked++
				return ca.Answer(t, cert, status, nil), nil
			}
		}
		ctx := from(t, "192.0.2.1")
		f := h.nodes[0].show(t, ctx, h.nodes[0].fresh(t, ctx), cert)
		if c.later > 0 {
			h.Pass(t, c.later)
		}
		status = c.then
		_, err := h.nodes[1].Certificate(ctx, f)
		why, refused := errors.AsType[*certificate.Refused](err)
		if asked != c.asked || (err == nil) != c.in || !c.in && (!refused || why.Reason != certificate.Revoked) {
			t.Errorf("%s: asked %d times, then %v", name, asked, err)
		}
	}
}

// A step that leads to another spends nothing, so it can be posted again; its authority is asked once
// in a while, whoever else is asked about.
func TestOneStepPostedManyTimesAsksOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	ca, _ := h.trust(t, func(a *certificate.Authority) {
		a.Revocation, a.Ask, a.Pinless = certificate.RevocationRequired, true, true
	})
	h.decide(t, func(s *settings.Authentication) { s.MFAPolicy = settings.MFAAny })
	h.app(t)
	n, ctx, asked := h.nodes[0], from(t, "192.0.2.1"), 0
	var certs [2]*x509.Certificate
	for i := range certs {
		certs[i] = ca.Person(t, "ann", func(c *x509.Certificate) { c.OCSPServer = []string{"http://ocsp.example.com/" + strconv.Itoa(i)} }).Leaf
	}
	n.desk.Revocation.OCSP = func(_ context.Context, at string) ([]byte, error) {
		asked++
		return ca.Answer(t, certs[at[len("http://ocsp.example.com/")]-'0'], 0, nil), nil
	}
	sealed, binding := n.begin(t, ctx)
	var shown [2]string
	for i, cert := range certs {
		shown[i] = n.show(t, ctx, n.load(t, ctx, sealed, binding), cert).Sealed()
	}
	for _, want := range []int{2 + 2, 2 + 4} {
		h.Pass(t, 6*time.Second)
		for range 3 {
			for _, sealed := range shown {
				if r, err := n.Certificate(ctx, n.load(t, ctx, sealed, binding)); err != nil || r.Step != authn.StepSecond {
					t.Fatalf("%+v, %v", r, err)
				}
			}
		}
		if asked != want {
			t.Errorf("asked %d times, want %d", asked, want)
		}
	}
}

// The longest flow that has room for a certificate's names has it for as many addresses as are carried.
func TestTheLongestFlowCarriesAddresses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	ca, _ := h.trust(t, nil)
	n, ctx, day := h.nodes[0], from(t, "192.0.2.1"), 24*time.Hour
	longest := authn.Need{
		ReturnTo: "/" + strings.Repeat("a", 4095), LoginHint: strings.Repeat("h", 9999), Login: true, MaxAge: &day,
		Application: strings.Repeat("a", 9999), Locales: strings.Repeat("de ", 999),
	}
	at := func(kind string) string { return "http://" + kind + ".example.com/" + strings.Repeat("x", 76) } // 100 bytes
	long := func(c *x509.Certificate) {
		certificatetest.Names(t, []string{strings.Repeat("u", 250)}, []string{strings.Repeat("m", 242) + "@example.com"})(c)
		c.Subject.SerialNumber = strings.Repeat("1", 74)
	}
	length := func(changes ...func(*x509.Certificate)) int {
		t.Helper()
		sealed, err := n.Begin(ctx, longest)
		if err != nil {
			t.Fatal(err)
		}
		f := n.load(t, ctx, sealed, "")
		if _, err := n.Bind(f, ""); err != nil {
			t.Fatal(err)
		}
		f = n.show(t, ctx, f, ca.Person(t, "ann", append(changes, long)...).Leaf)
		if c := f.Certificate; !c.Again || len(c.OCSP)+len(c.CRL) != 4*len(changes) {
			t.Errorf("carries %q and %q", c.OCSP, c.CRL)
		}
		return len(f.Sealed())
	}
	if n := length(); n > 7<<10+40 || n < 7<<10 {
		t.Errorf("a flow with a certificate without addresses has %d bytes", n)
	}
	length(func(c *x509.Certificate) {
		c.OCSPServer, c.CRLDistributionPoints = []string{at("oc1"), at("oc2")}, []string{at("cr1"), at("cr2")}
	})
}

func TestCertificateBesidePassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	ca, made := h.trust(t, nil)
	mine := ca.Person(t, "ann").Leaf
	h.user(t, directory.User{Username: "bob"}, good)
	n, ctx := h.nodes[0], from(t, "192.0.2.1")
	if r, err := n.Certificate(ctx, n.show(t, ctx, n.fresh(t, ctx), mine)); err != nil || r.Step != authn.StepDone {
		t.Fatalf("%+v, %v", r, err)
	}
	// A certificate that a rule makes hers asks for nothing by itself: nobody chose it.
	if r, err := n.Password(ctx, n.fresh(t, ctx), "ann", good); err != nil || r.Step != authn.StepDone {
		t.Fatalf("%+v, %v", r, err)
	}
	h.decide(t, func(s *settings.Authentication) { s.MFAPolicy = settings.MFAPasskey })
	f := n.half(t, ctx, authn.Browser{})
	if ways, err := n.Offer(ctx, f); err != nil || !slices.Equal(ways, []assurance.Method{assurance.Certificate}) {
		t.Fatalf("offered %v, %v", ways, err)
	}
	_, err := n.Show(ctx, f.Sealed(), []*x509.Certificate{ca.Person(t, "bob").Leaf})
	if why, ok := errors.AsType[*certificate.Refused](err); !ok || why.Reason != certificate.Other {
		t.Errorf("another's certificate: %v", err)
	}
	r, err := n.Certificate(ctx, n.show(t, ctx, f, mine))
	if err != nil || r.Step != authn.StepDone || r.Session.Level() != 2 || !slices.Equal(r.Session.AMR, []string{"mfa", "pwd", "swk"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	// One that was added to her does ask.
	h.decide(t, func(s *settings.Authentication) { s.MFAPolicy = settings.MFADisabled })
	h.update(t, 0, func(tx *fsm.Tx) error {
		names, err := certificate.NamesOf(mine)
		if err == nil {
			_, err = certificate.Bind(tx, made, names, h.ann.ID, certificate.ByFingerprint, "badge")
		}
		return err
	})
	n.half(t, ctx, authn.Browser{})
}

// One shown certificate, in one flow, makes one session on whatever nodes it is finished.
func TestCertificateOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	ca, _ := h.trust(t, nil)
	cert := ca.Person(t, "ann").Leaf
	ctx := from(t, "192.0.2.1")
	for round := range races {
		sealed, binding := h.nodes[0].begin(t, ctx)
		f := h.nodes[0].show(t, ctx, h.nodes[0].load(t, ctx, sealed, binding), cert)
		var errs [2]error
		var wg sync.WaitGroup
		flows := [2]*authn.Flow{h.nodes[0].load(t, ctx, f.Sealed(), binding), h.nodes[1].load(t, ctx, f.Sealed(), binding)}
		for i := range errs {
			wg.Go(func() { _, errs[i] = h.nodes[i].Certificate(ctx, flows[i]) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: %v and %v", round, errs[0], errs[1])
		}
	}
}

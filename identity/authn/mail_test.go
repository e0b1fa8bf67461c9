package authn_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/settings"
)

// The code of a letter and its link are good once, together: whichever of them comes to whichever
// of two nodes at the same time, one session is made.
func TestLetterOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) { a.EmailOTP, a.MagicLink = true, true })
	ctx := from(t, "192.0.2.1")
	for name, of := range map[string]func(*authn.Letter) [2]string{
		"code":          func(l *authn.Letter) [2]string { return [2]string{l.Code, l.Code} },
		"link":          func(l *authn.Letter) [2]string { return [2]string{l.Token, l.Token} },
		"code and link": func(l *authn.Letter) [2]string { return [2]string{l.Code, l.Token} },
	} {
		for round := range races {
			sealed, binding := h.nodes[0].begin(t, ctx)
			r, err := h.nodes[0].Mail(ctx, h.nodes[0].load(t, ctx, sealed, binding), "ann")
			if err != nil {
				t.Fatal(err)
			}
			secrets := of(h.nodes[0].letter())
			var flows [2]*authn.Flow
			for i := range flows {
				flows[i] = h.nodes[i].load(t, ctx, r.Flow, binding)
			}
			var errs [2]error
			var all sync.WaitGroup
			for i, f := range flows {
				all.Go(func() { _, errs[i] = h.nodes[i].MailCode(ctx, f, secrets[i]) })
			}
			all.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("round %d, %s: %v and %v", round, name, errs[0], errs[1])
			}
			if err := errors.Join(errs[:]...); !errors.Is(err, authn.ErrDeadFlow) {
				t.Fatalf("round %d, %s: the loser is told %v", round, name, err)
			}
		}
	}
}

// Who has an app and no password comes no further than level 1 with it, and is asked for it all
// the same, before anything can be added to the account.
func TestAMailboxIsNotEnoughBesideAnApp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) {
		a.EmailOTP, a.PasswordLogin, a.ForgotPassword, a.MFAPolicy = true, false, false, settings.MFAAny
	})
	a := h.app(t)
	n, ctx := h.nodes[0], at(t)
	f := n.fresh(t, ctx)
	if _, err := n.Mail(ctx, f, "ann"); err != nil {
		t.Fatal(err)
	}
	r, err := n.MailCode(ctx, f, n.letter().Code)
	if err != nil || r.Step != authn.StepSecond || r.Cookie != "" {
		t.Fatalf("a mailbox alone: %+v, %v", r, err)
	}
	r, err = n.Code(ctx, f, assurance.TOTP, a.code(h.DB[0].Now()))
	if err != nil || r.Step != authn.StepDone || r.Enrol == nil || !slices.Equal(r.Enrol.Methods, []assurance.Method{assurance.Passkey}) {
		t.Errorf("both: %+v, %v", r, err)
	}
}

// What is asked for in a browser in which the person has signed in is not counted with what strangers ask for.
func TestLetterTellsInWhoseBrowserItWasAskedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) { a.EmailOTP = true })
	n, ctx := h.nodes[0], from(t, "192.0.2.1")
	signedIn, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	asked := func(device, name string) string {
		t.Helper()
		f := n.fresh(t, ctx)
		f.Browser.Device = device
		if _, err := n.Mail(ctx, f, name); err != nil {
			t.Fatal(err)
		}
		return n.letter().Browser
	}
	known := asked(signedIn.Device, "ann")
	if known == "" || known != asked(signedIn.Device, "ann") {
		t.Errorf("her own: %q", known)
	}
	for name, got := range map[string]string{
		"a stranger's": asked("", "ann"), "one made up": asked("x"+signedIn.Device, "ann"), "for nobody": asked(signedIn.Device, "nobody"),
	} {
		if got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// While others guess at her codes, and at everybody's, whoever follows the link of a letter gets in, in whatever browser.
func TestALinkWorksWhileOthersGuess(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	n := h.nodes[0]
	h.Pass(t, 10*time.Minute)
	ctx := from(t, "192.0.2.1")
	hers, _ := n.lost(t, ctx, "ann")
	letter := *n.letter()
	limited := 0
	for i := range 40 {
		other := from(t, fmt.Sprintf("198.51.100.%d", i))
		name := "ann"
		if i > 15 {
			name = fmt.Sprint("nobody", i)
		}
		f, _ := n.lost(t, other, name)
		if _, err := n.MailCode(other, f, "nonsense"); errors.Is(err, identity.ErrLimited) {
			limited++
		}
	}
	if _, err := n.MailCode(ctx, hers, letter.Code); !errors.Is(err, identity.ErrLimited) || limited == 0 {
		t.Errorf("her code: %v; %d guesses were held up", err, limited)
	}
	limited = 0
	for range 12 { // somebody behind the same address, in a flow of their own
		f, _ := n.lost(t, ctx, "ann")
		_, err := n.MailCode(ctx, f, strings.Repeat("A", len(letter.Token)))
		if err == nil {
			t.Fatal("another link lets in")
		}
		if errors.Is(err, identity.ErrLimited) {
			limited++
		}
	}
	if limited == 0 {
		t.Error("wrong links are not counted")
	}
	if r, err := n.MailCode(ctx, hers, letter.Token); err != nil || r.Step != authn.StepRenew {
		t.Errorf("her link: %+v, %v", r, err)
	}
}

// A letter to sign in has what the tenant allows, and nothing else signs anybody in; one to get back in,
// or into a locked account, has both.
func TestLetterHasWhatTheTenantAllows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ code, link bool }{"codes": {code: true}, "links": {link: true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 2)
			h.verify(t)
			allow := func(code, link bool) {
				h.decide(t, func(a *settings.Authentication) { a.EmailOTP, a.MagicLink = code, link })
			}
			allow(c.code, c.link)
			n, ctx := h.nodes[0], from(t, "192.0.2.1")
			f := n.fresh(t, ctx)
			if _, err := n.Mail(ctx, f, "ann"); err != nil {
				t.Fatal(err)
			}
			l := n.letter()
			if (l.Code != "") != c.code || (l.Token != "") != c.link {
				t.Errorf("letter: code %q, token %q", l.Code, l.Token)
			}
			if open, err := n.Open(ctx, f); err != nil || open.Letter.Code != c.code || open.Letter.Link != c.link {
				t.Errorf("the page is told %+v, %v", open, err)
			}
			// What was sent counts no more once the tenant thinks better of it.
			secret := l.Code
			if c.link {
				secret = l.Token
			}
			allow(c.link, !c.link)
			if _, err := n.MailCode(ctx, f, secret); !errors.Is(err, identity.ErrUnauthenticated) {
				t.Errorf("what does not count any more: %v", err)
			}
			allow(c.code, c.link)
			if r, err := n.MailCode(ctx, f, secret); err != nil || r.Step != authn.StepDone {
				t.Errorf("what was sent: %+v, %v", r, err)
			}
			back, _ := n.lost(t, ctx, "ann")
			if l := n.letter(); l.Code == "" || l.Token == "" {
				t.Errorf("to get back in: code %q, token %q", l.Code, l.Token)
			}
			if r, err := n.MailCode(ctx, back, n.letter().Token); err != nil || r.Step != authn.StepRenew {
				t.Errorf("to get back in: %+v, %v", r, err)
			}
			h.lock(t)
			f = n.fresh(t, ctx)
			if r, err := n.Password(ctx, f, "ann", good); err != nil || r.Step != authn.StepMail {
				t.Fatalf("%+v, %v", r, err)
			}
			if l := n.letter(); l.Code == "" || l.Token == "" {
				t.Errorf("into a locked account: code %q, token %q", l.Code, l.Token)
			}
			if r, err := n.MailCode(ctx, f, n.letter().Code); err != nil || r.Step != authn.StepRenew {
				t.Errorf("into a locked account: %+v, %v", r, err)
			}
		})
	}
}

// One stranger at one address keeps nobody waiting for long who signs in by a code, where there is no other way.
func TestAStrangerHoldsNobodysCodesUpForLong(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) {
		a.EmailOTP, a.MagicLink, a.PasswordLogin, a.ForgotPassword = true, false, false, false
	})
	n, stranger, hers := h.nodes[0], from(t, "203.0.113.5"), from(t, "198.51.100.7")
	code := func(ctx context.Context, code string) error {
		f := n.fresh(t, ctx)
		if _, err := n.Mail(ctx, f, "ann"); err != nil {
			t.Fatal(err)
		}
		_, err := n.MailCode(ctx, f, cmp.Or(code, n.letter().Code))
		return err
	}
	for range 16 { // more than that are forgotten by the time that there may be another: see TestWhoWaitsGetsIn
		n.Age(time.Hour)
		if err := code(stranger, "nonsense"); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	err := code(hers, "")
	if e := identity.Errors(err); len(e) != 1 || e[0].RetryAfter <= 0 || e[0].RetryAfter > 30*time.Second {
		t.Fatalf("her code, at once: %+v", e)
	}
	n.Age(31 * time.Second)
	if err := code(stranger, "nonsense"); !errors.Is(err, identity.ErrLimited) {
		t.Errorf("the stranger goes on: %v", err)
	}
	if err := code(hers, ""); err != nil {
		t.Errorf("her code, when she has waited: %v", err)
	}
}

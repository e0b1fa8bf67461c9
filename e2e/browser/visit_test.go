package browser

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/identity/credential/totp"
)

// A visit is one person's, in a browser of their own, to three nodes behind a proxy.
type visit struct {
	t     *testing.T
	d     *testbed.Dev
	b     *browser
	key   webauthn.AuthenticatorID
	mail  *mailbox
	proxy string
	dead  int // the node that was killed; 0: none
}

func newVisit(t *testing.T, d *testbed.Dev) *visit {
	t.Helper()
	b := passkeyBrowser(t)
	return &visit{t: t, d: d, b: b, mail: &mailbox{b: b, at: d.Issuer()}, proxy: d.Public(0)}
}

// dies has a node killed while the other two are there. What somebody is about to send is in the
// form by then: to elect another leader takes longer than to send it.
func (v *visit) dies(node int) {
	v.t.Helper()
	v.revives()
	if err := v.d.Kill(v.t.Context(), node); err != nil {
		v.t.Fatal(err)
	}
	v.dead = node
}

func (v *visit) leaderDies() {
	v.t.Helper()
	v.revives()
	leader, err := v.d.WaitLeader(v.t.Context(), 0)
	if err != nil {
		v.t.Fatal(err)
	}
	v.dies(leader)
}

// revives brings back the node that was killed last, if it has not come back.
func (v *visit) revives() {
	v.t.Helper()
	if v.dead == 0 {
		return
	}
	if err := v.d.Restart(v.t.Context(), v.dead); err != nil {
		v.t.Error(err)
	}
	v.dead = 0
	for i := range v.d.Nodes {
		if err := v.d.WaitReady(v.t.Context(), i+1); err != nil {
			v.t.Error(err)
		}
	}
}

// servedBy is the node that served the page to which a step leads, as the nodes count it.
func (v *visit) servedBy(method, route string, step func()) int {
	v.t.Helper()
	name := fmt.Sprintf(`quis_http_requests_total{code="200",method=%q,route=%q}`, method, route)
	count := func(node int) float64 {
		n, _ := v.d.Metric(v.t.Context(), node, name) // none yet, or the node is dead
		return n
	}
	before := map[int]float64{}
	for i := range v.d.Nodes {
		before[i+1] = count(i + 1)
	}
	step()
	for {
		for node, n := range before {
			if count(node) > n {
				return node
			}
		}
		if v.b.ctx.Err() != nil {
			v.t.Fatalf("no node has answered %s %s", method, route)
		}
		v.b.wait()
	}
}

// send sends the form of a field.
func (v *visit) send(field string) {
	v.t.Helper()
	v.b.do(chromedp.SendKeys(chromedp.CSS(`input[name="`+field+`"]`), "\r"))
}

// comesIn reports whether the application gets the person whom it expects.
func (v *visit) comesIn(username string, a *testbed.Authorization) {
	v.t.Helper()
	a.Params = params(v.t, v.b.waitLocation(web.RedirectURI))
	a.Code = a.Params.Get("code")
	tokens, err := web.Exchange(v.t.Context(), v.proxy, a)
	if err != nil {
		v.t.Fatalf("came back with %v: %v", a.Params, err)
	}
	claims, err := testbed.UserInfo(v.t.Context(), v.proxy, tokens.AccessToken)
	if err != nil || claims["preferred_username"] != username {
		v.t.Errorf("%v came in, not %s: %v", claims, username, err)
	}
}

// isInOnce reports whether somebody has one account, and is signed in to it in one browser.
func (v *visit) isInOnce(who string) {
	v.t.Helper()
	for _, of := range []string{"list", "sessions"} {
		var all []json.RawMessage
		if err := json.Unmarshal([]byte(quis(v.b, v.d, "user", of, who, "-o", "json")), &all); err != nil || len(all) != 1 {
			v.t.Errorf("quis user %s %s: %s: %v", of, who, all, err)
		}
	}
}

// isDead waits until every node says of a link that it is good for nothing any more, also the one
// that was not there when it was used.
func (v *visit) isDead(link, says string) {
	v.t.Helper()
	v.revives()
	for i := range v.d.Nodes {
		v.b.finds(v.d.Public(i+1)+strings.TrimPrefix(link, v.d.Issuer()), "main", says)
	}
}

// hasApp signs somebody in, and gives them an authenticator app.
func (v *visit) hasApp(who string) (secret []byte) {
	v.t.Helper()
	v.withPassword(who)
	v.isIn(who)
	v.b.open(v.proxy + securityPath + "/apps/new")
	return v.b.addApp()
}

// nextCode is what an app shows next: the present code has been used.
func nextCode(secret []byte) string {
	return totp.Parameters{}.Code(secret, time.Now().Add(30*time.Second))
}

// code is the one that was mailed to an address.
func (v *visit) code(to string) string {
	v.t.Helper()
	return sixDigits.FindString(v.mail.wait(to, "code").Text)
}

const passkeyButton = chromedp.CSS(`form[data-passkey] button`)

// press has the browser ask for a passkey, or make one.
func (v *visit) press() {
	v.t.Helper()
	v.b.do(chromedp.WaitVisible(passkeyButton), chromedp.Click(passkeyButton))
}

// touch says whether the person is there to touch the authenticator.
func (v *visit) touch(yes bool) {
	v.t.Helper()
	_, err := chromedp.Call(v.b.ctx, webauthn.SetAutomaticPresenceSimulation,
		webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: v.key, Enabled: yes})
	if err != nil {
		v.t.Fatal(err)
	}
}

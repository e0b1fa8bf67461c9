package browser

import (
	"encoding/json"
	"strings"

	"github.com/quis-idp/quis/e2e/testbed"
)

// quis runs a command as the operator of the machine, once what it does may be done: what is of
// this release waits until every member is known to read it. Every node knows of it then: the
// next page may come from any.
func quis(b *browser, d *testbed.Dev, args ...string) string {
	b.t.Helper()
	out := command(b, d, "", append(args, "--data-dir", d.Dir)...)
	if err := d.Agree(b.ctx); err != nil {
		b.t.Fatal(err)
	}
	return out
}

func command(b *browser, d *testbed.Dev, token string, args ...string) string {
	b.t.Helper()
	for {
		out, err := d.QuisAs(b.ctx, token, args...)
		if err == nil {
			return out
		}
		if b.ctx.Err() != nil || !strings.Contains(out, "not every node has said yet") {
			b.t.Fatalf("%v: %v", args, err)
		}
		b.wait()
	}
}

// An administrator is a person with an access token, who runs commands through the proxy before
// the nodes.
type administrator struct {
	b     *browser
	d     *testbed.Dev
	token string
}

// quis runs a command and returns what it answers.
func (a administrator) quis(args ...string) map[string]any {
	a.b.t.Helper()
	out, answer := command(a.b, a.d, a.token, append(args, "--addr", a.d.Public(0), "-o", "json")...), map[string]any{}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		a.b.t.Fatalf("%v: %v: %s", args, err, out)
	}
	return answer
}

// refused runs a command that must not be done, and returns what is said instead.
func (a administrator) refused(args ...string) string {
	a.b.t.Helper()
	out, err := a.d.QuisAs(a.b.ctx, a.token, append(args, "--addr", a.d.Public(0))...)
	if err == nil {
		a.b.t.Errorf("%v is done: %s", args, out)
	}
	return out
}

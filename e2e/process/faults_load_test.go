package process

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/e2e/history"
	"github.com/quis-idp/quis/e2e/testbed"
)

// A load is what people, applications and admins do while faults are injected. All
// of it is recorded, and judged at the end by e2e/history.
//
//   - one writer at each node swaps the value of rows by If-Match, its own row and one
//     that all share: the regular beat by which outages are measured,
//   - people sign in; every other code is redeemed on two nodes at once,
//   - applications refresh, each token on two nodes at once, and revoke; then the
//     access token is used on every node,
//   - admins create users, each name on two nodes at once.
type load struct {
	tr     *trio
	rec    *history.Recorder
	prefix string // of every user that it creates

	running sync.WaitGroup
	cancel  context.CancelFunc
	seq     atomic.Int64

	mu       sync.Mutex
	armed    time.Time      // guarded by mu: writes asked for after it are waited for
	hit      chan time.Time // guarded by mu
	families []*familyOf    // guarded by mu
	odd      []string       // guarded by mu: answers that no fault explains
}

// A familyOf is a refresh token family that nobody uses any more.
type familyOf struct{ key, token string }

// begin starts the load.
func begin(ctx context.Context, tr *trio, rng *rand.Rand) *load {
	l := &load{tr: tr, rec: history.NewRecorder(), prefix: fmt.Sprintf("l%08x-", rng.Uint32())}
	ctx, l.cancel = context.WithCancel(ctx)
	shared := l.unique("shared")
	for i := range tr.servers {
		l.running.Go(func() { l.swaps(ctx, i+1, shared) })
		l.running.Go(func() { l.creates(ctx, i+1) })
	}
	for range 3 {
		seed := rng.Uint64()
		l.running.Go(func() { l.people(ctx, rand.New(rand.NewPCG(seed, 1))) })
	}
	return l
}

// end stops the load and waits for it.
func (l *load) end() {
	l.cancel()
	l.running.Wait()
}

func (l *load) unique(what string) string {
	return fmt.Sprintf("%s%s-%d", l.prefix, what, l.seq.Add(1))
}

// arm waits for the next write that is asked for from now on and succeeds.
func (l *load) arm() (from time.Time, answered <-chan time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.hit = time.Now(), make(chan time.Time, 1)
	return l.armed, l.hit
}

// wrote notes a successful write.
func (l *load) wrote(asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hit != nil && asked.After(l.armed) {
		l.hit <- time.Now()
		l.hit = nil
	}
}

func (l *load) strange(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.odd = append(l.odd, fmt.Sprintf(format, args...))
}

// attempt records one call. do returns what was answered.
func (l *load) attempt(ctx context.Context, within time.Duration, op history.Op, node int, do func(ctx context.Context) (string, error)) (history.Outcome, string, error) {
	op.Node = fmt.Sprintf("node-%d", node)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	p, asked := l.rec.Begin(op), time.Now()
	got, err := do(ctx)
	outcome, note := outcomeOf(err), ""
	if err != nil {
		note = fmt.Sprintf("%.200v", err)
	}
	p.End(outcome, got, note)
	if code, _ := status(err); max(code, client.Status(err)) == http.StatusInternalServerError {
		l.strange("%s: %s %s: %v", op.Node, op.Kind, op.Key, err)
	}
	if outcome == history.OK && op.Kind != history.Use {
		l.wrote(asked)
	}
	return outcome, got, err
}

// outcomeOf says what a client knows after an answer.
func outcomeOf(err error) history.Outcome {
	var refused *client.Error
	var answer *testbed.StatusError
	var dial *net.OpError
	switch {
	case err == nil:
		return history.OK
	case errors.As(err, &refused):
		kind := refused.Problem.Type[strings.LastIndex(refused.Problem.Type, "/")+1:]
		kind = kind[strings.LastIndex(kind, "#")+1:]
		switch {
		case kind == "TypeConflict", kind == "TypeLimited", kind == "TypeSealed", kind == "TypeUnavailable":
			return history.Never // and it must be so: what is told to be without effect is never seen
		case refused.Status >= 400 && refused.Status < 500:
			return history.Refused
		}
	case errors.As(err, &answer):
		switch {
		case answer.Status == http.StatusTooManyRequests:
			return history.Never
		case answer.Status >= 400 && answer.Status < 500:
			return history.Refused
		}
	case errors.As(err, &dial) && dial.Op == "dial":
		return history.Never
	}
	return history.Unknown
}

// swaps is the writer at node i.
func (l *load) swaps(ctx context.Context, i int, shared string) {
	admin := l.tr.admins[i-1]
	for ctx.Err() == nil {
		own := l.unique("row")
		rows := []*row{l.row(ctx, admin, i, own), l.row(ctx, admin, i, shared)}
		for n := 0; n < 60 && ctx.Err() == nil; n++ {
			if r := rows[n%3%2]; r != nil { // the own row twice as often
				l.swap(ctx, admin, i, r)
			}
			pause(ctx, 15*time.Millisecond)
		}
		if rows[1] != nil && rows[1].swaps > 40 {
			shared += "+" // the three follow each other without talking: the next name is known
		}
	}
}

// A row is a user whose display name is the register.
type row struct {
	key, id string
	swaps   int
}

// row creates or finds the user.
func (l *load) row(ctx context.Context, admin *client.Client, i int, name string) *row {
	first := "none"
	l.attempt(ctx, 3*time.Second, history.Op{Kind: history.Swap, Key: name, New: first}, i, func(ctx context.Context) (string, error) {
		_, err := admin.Users.Create(ctx, client.UserFields{Username: &name, Name: &first})
		if client.Status(err) == http.StatusConflict {
			err = &testbed.StatusError{Status: http.StatusConflict}
		}
		return "", err
	})
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	u, err := admin.Users.Find(ctx, name)
	if err != nil {
		return nil
	}
	return &row{key: name, id: u.ID}
}

// swap reads the row, perhaps of a little while ago, and changes it if it is still so.
func (l *load) swap(ctx context.Context, admin *client.Client, i int, r *row) {
	read, cancel := context.WithTimeout(ctx, 2*time.Second)
	u, err := admin.Users.Get(read, r.id)
	cancel()
	if status := client.Status(err); status >= 400 && status < 500 {
		l.strange("node %d: get user %s: %v", i, r.key, err)
	}
	if err != nil {
		return
	}
	next := l.unique("v")
	op := history.Op{Kind: history.Swap, Key: r.key, Old: u.Name, New: next}
	outcome, _, err := l.attempt(ctx, 2*time.Second, op, i, func(ctx context.Context) (string, error) {
		_, err := admin.Users.Update(ctx, r.id, client.UserFields{Name: &next}, u.ETag)
		return "", err
	})
	if status := client.Status(err); outcome == history.Refused && status != http.StatusPreconditionFailed {
		l.strange("node %d: change user %s: %v", i, r.key, err)
	}
	r.swaps++
}

// creates makes users, each name at node i and the next one at once. The display
// name says which attempt it was.
func (l *load) creates(ctx context.Context, i int) {
	for ctx.Err() == nil {
		name := l.unique("user")
		var both sync.WaitGroup
		for _, node := range []int{i, 1 + i%3} {
			both.Go(func() {
				mine := l.unique("owner")
				op := history.Op{Kind: history.Create, Key: name, New: mine}
				_, _, err := l.attempt(ctx, 3*time.Second, op, node, func(ctx context.Context) (string, error) {
					_, err := l.tr.admins[node-1].Users.Create(ctx, client.UserFields{Username: &name, Name: &mine})
					return "", err
				})
				if s := client.Status(err); s >= 400 && s < 500 && s != http.StatusConflict && s != http.StatusTooManyRequests {
					l.strange("node %d: create user %s: %v", node, name, err)
				}
			})
		}
		both.Wait()
		pause(ctx, 60*time.Millisecond)
	}
}

// people sign in and use what they get.
func (l *load) people(ctx context.Context, rng *rand.Rand) {
	person := tester()
	for n := 0; ctx.Err() == nil; n++ {
		at := 1 + rng.IntN(3)
		if n%4 == 0 { // in between, the session is enough
			person = tester()
		}
		signIn, cancel := context.WithTimeout(ctx, 6*time.Second)
		a, err := person.Authorize(signIn, l.tr.node(at).public(), web)
		cancel()
		if err != nil {
			if code, _ := status(err); code == http.StatusInternalServerError || code == http.StatusUnauthorized {
				l.strange("node %d: sign in: %v", at, err)
			}
			pause(ctx, 20*time.Millisecond)
			continue
		}
		if n%2 == 0 { // its family may rightly be revoked, so nothing is built on it
			l.raceCode(ctx, a, rng)
			continue
		}
		tokens, err := l.exchange(ctx, a, at)
		if err != nil {
			continue
		}
		key := l.unique("family")
		l.rec.Begin(history.Op{Kind: history.Start, Key: key, New: short(tokens.RefreshToken)}).End(history.OK, "", "")
		l.family(ctx, key, tokens, rng)
	}
}

func (l *load) exchange(ctx context.Context, a *testbed.Authorization, node int) (tokens *testbed.Tokens, err error) {
	_, _, err = l.attempt(ctx, 8*time.Second, history.Op{Kind: history.Redeem, Key: short(a.Code)}, node, func(ctx context.Context) (string, error) {
		tokens, err = web.Exchange(ctx, l.tr.node(node).public(), a)
		return "", err
	})
	return tokens, err
}

// raceCode redeems one code on two nodes at once: at most one may succeed.
func (l *load) raceCode(ctx context.Context, a *testbed.Authorization, rng *rand.Rand) {
	first := 1 + rng.IntN(3)
	var both sync.WaitGroup
	for _, node := range []int{first, 1 + first%3} {
		both.Go(func() { l.exchange(ctx, a, node) })
	}
	both.Wait()
}

// family refreshes for a while and sometimes revokes.
func (l *load) family(ctx context.Context, key string, tokens *testbed.Tokens, rng *rand.Rand) {
	for range 4 {
		if next := l.raceRefresh(ctx, key, tokens.RefreshToken, rng); next != nil {
			tokens = next
		}
		pause(ctx, 20*time.Millisecond)
	}
	if rng.IntN(2) == 0 {
		l.revoke(ctx, key, tokens, rng)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.families = append(l.families, &familyOf{key, tokens.RefreshToken})
}

// raceRefresh refreshes one token on two nodes at once: all answers must name one successor.
func (l *load) raceRefresh(ctx context.Context, key, token string, rng *rand.Rand) (next *testbed.Tokens) {
	first := 1 + rng.IntN(3)
	var both sync.WaitGroup
	var got [2]*testbed.Tokens
	for i, node := range []int{first, 1 + first%3} {
		both.Go(func() { got[i] = l.refresh(ctx, key, token, node) })
	}
	both.Wait()
	return cmp.Or(got[0], got[1])
}

func (l *load) refresh(ctx context.Context, key, token string, node int) (tokens *testbed.Tokens) {
	op := history.Op{Kind: history.Refresh, Key: key, Old: short(token)}
	outcome, _, _ := l.attempt(ctx, 8*time.Second, op, node, func(ctx context.Context) (string, error) {
		var err error
		if tokens, err = web.Refresh(ctx, l.tr.node(node).public(), token); err != nil {
			return "", err
		}
		return short(tokens.RefreshToken), nil
	})
	if outcome != history.OK {
		return nil
	}
	return tokens
}

// revoke ends a family at one node and then uses its access token at all.
func (l *load) revoke(ctx context.Context, key string, tokens *testbed.Tokens, rng *rand.Rand) {
	at := 1 + rng.IntN(3)
	op := history.Op{Kind: history.Revoke, Key: key}
	outcome, _, _ := l.attempt(ctx, 8*time.Second, op, at, func(ctx context.Context) (string, error) {
		return "", revokeAt(ctx, l.tr.node(at).public(), tokens.RefreshToken)
	})
	if outcome != history.OK {
		return
	}
	l.running.Go(func() {
		pause(ctx, staleness)
		for node := range l.tr.servers {
			l.attempt(ctx, 2*time.Second, history.Op{Kind: history.Use, Key: key}, node+1, func(ctx context.Context) (string, error) {
				_, err := testbed.UserInfo(ctx, l.tr.node(node+1).public(), tokens.AccessToken)
				return "", err
			})
		}
	})
}

// revokeAt revokes a refresh token (RFC 7009).
func revokeAt(ctx context.Context, node, token string) error {
	form := url.Values{"token": {token}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, node+"/oauth2/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(web.ClientID, web.Secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &testbed.StatusError{Status: resp.StatusCode}
	}
	return nil
}

// short names a secret without telling it.
func short(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:6])
}

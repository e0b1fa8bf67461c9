package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// A spread is the nodes that requests for tokens go to, one node after the other.
type spread struct {
	o      options
	issuer string
	nodes  []string // base URLs
	pids   []int
	next   atomic.Uint64
}

func spreadOf(d *testbed.Dev, o options) (*spread, error) {
	c := &spread{o: o, issuer: d.Issuer()}
	for i := 1; i <= d.Nodes; i++ {
		pid, err := d.PID(i)
		if err != nil {
			return nil, err
		}
		c.nodes, c.pids = append(c.nodes, d.Public(i)), append(c.pids, pid)
	}
	return c, nil
}

// spread is the nodes of a house that runs.
func (h *house) spread(o options) *spread {
	c := &spread{o: o, issuer: testbed.Issuer}
	for _, n := range h.nodes {
		c.nodes, c.pids = append(c.nodes, n.public), append(c.pids, n.cmd.Process.Pid)
	}
	return c
}

func (c *spread) node() string { return c.nodes[c.next.Add(1)%uint64(len(c.nodes))] }

func (c *spread) drive(ctx context.Context, d time.Duration, call func(ctx context.Context, worker int) error) (load, error) {
	return drive(ctx, c.pids, callers, d, call)
}

// tokenRates measures the endpoints that make and judge tokens, of nodes on this machine with their
// log on disk as in production. With three it is what a core does when every change is replicated twice.
func tokenRates(nodes int) func(ctx context.Context, o options) ([]figure, error) {
	return func(ctx context.Context, o options) ([]figure, error) { return tokenRatesOf(ctx, o, nodes) }
}

func tokenRatesOf(ctx context.Context, o options, nodes int) (figures []figure, err error) {
	defer oneCore()()
	suffix, goals := "", map[string]string{
		"client_credentials": "≥ 5000", "DPoP-bound client_credentials": "≥ 3000", "code exchange": "≥ 2500", "refresh": "≥ 3000", "introspection": "≥ 12000",
	}
	if nodes > 1 {
		suffix, goals = fmt.Sprintf(", %d nodes", nodes), nil
	}
	err = withDev(ctx, nodes, func(d *testbed.Dev) error {
		c, err := spreadOf(d, o)
		if err != nil {
			return err
		}
		families := make([]*testbed.Tokens, callers)
		for _, m := range []struct {
			name string
			run  func(ctx context.Context, families []*testbed.Tokens) (load, error)
		}{
			{"client_credentials", c.credentials}, {"DPoP-bound client_credentials", c.bound},
			{"code exchange", c.exchange}, {"refresh", c.refresh}, {"introspection", c.introspection},
		} {
			l, err := m.run(ctx, families)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			figures = append(figures, rate(m.name+suffix, l, goals[m.name]))
		}
		return nil
	})
	return figures, err
}

func (c *spread) credentials(ctx context.Context, _ []*testbed.Tokens) (load, error) {
	return c.drive(ctx, c.o.duration, func(ctx context.Context, _ int) error {
		_, err := web.Token(ctx, c.node(), url.Values{"grant_type": {"client_credentials"}})
		return err
	})
}

// bound makes a proof for each request; that costs the load generator, not the server.
func (c *spread) bound(ctx context.Context, _ []*testbed.Tokens) (load, error) {
	keys := make([]*testbed.Key, callers)
	nonces := make([]string, callers)
	for w := range keys {
		var err error
		if keys[w], err = testbed.NewKey(); err != nil {
			return load{}, err
		}
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	return c.drive(ctx, c.o.duration, func(ctx context.Context, w int) error {
		for range 2 { // the first may be told the nonce
			proof, err := keys[w].Proof(http.MethodPost, c.issuer+"/oauth2/token", nonces[w], "", nil)
			if err != nil {
				return err
			}
			status, header, body, err := post(ctx, c.node()+"/oauth2/token", form, http.Header{"Dpop": {proof}})
			if err != nil {
				return err
			}
			if n := header.Get("DPoP-Nonce"); n != "" {
				nonces[w] = n
			}
			switch {
			case status == http.StatusOK && strings.Contains(body, `"DPoP"`):
				return nil
			case status == http.StatusBadRequest && strings.Contains(body, "use_dpop_nonce"):
			default:
				return fmt.Errorf("status %d: %.300s", status, body)
			}
		}
		return errors.New("a nonce was asked for twice")
	})
}

func (c *spread) exchange(ctx context.Context, families []*testbed.Tokens) (load, error) {
	codes, err := collectCodes(ctx, c.nodes[0], 400*int(c.o.duration/time.Second)*8)
	if err != nil {
		return load{}, fmt.Errorf("collect codes: %w", err)
	}
	var mu sync.Mutex
	next := 0
	return c.drive(ctx, time.Minute, func(ctx context.Context, w int) error {
		mu.Lock()
		i := next
		next++
		mu.Unlock()
		if i >= len(codes) {
			return errDone
		}
		tokens, err := web.Exchange(ctx, c.node(), codes[i])
		if err == nil {
			families[w] = tokens
		}
		return err
	})
}

func (c *spread) refresh(ctx context.Context, families []*testbed.Tokens) (load, error) {
	return c.drive(ctx, c.o.duration, func(ctx context.Context, w int) error {
		tokens, err := web.Refresh(ctx, c.node(), families[w].RefreshToken)
		if err == nil {
			families[w] = tokens
		}
		return err
	})
}

// introspection asks about the tokens of people, whose families are looked up.
func (c *spread) introspection(ctx context.Context, families []*testbed.Tokens) (load, error) {
	return c.drive(ctx, c.o.duration, func(ctx context.Context, w int) error {
		status, _, body, err := post(ctx, c.node()+"/oauth2/introspect", url.Values{"token": {families[w].AccessToken}}, nil)
		if err == nil && (status != http.StatusOK || !strings.Contains(body, `"active":true`)) {
			err = fmt.Errorf("status %d: %.300s", status, body)
		}
		return err
	})
}

// post sends a form, authenticated as the application.
func post(ctx context.Context, to string, form url.Values, header http.Header) (status int, got http.Header, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, "", err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(web.ClientID, web.Secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, resp.Header, string(b), err
}

// tokensWhileHashing compares the p99 of client_credentials while people sign in as fast
// as the password pool lets them with that of a node that has nothing else to do. The
// requests come at a steady pace that does not load the node: what is measured is waiting.
func tokensWhileHashing(ctx context.Context, o options) (figures []figure, err error) {
	err = withDev(ctx, 1, func(d *testbed.Dev) error {
		c, err := spreadOf(d, o)
		if err != nil {
			return err
		}
		var signedIn, refused atomic.Int64
		idle, busy, err := c.inTurns(ctx, func() (func(), error) {
			hashing, stop := context.WithCancel(ctx)
			var people sync.WaitGroup
			for i := range crowd {
				people.Go(func() {
					for hashing.Err() == nil {
						if _, err := testbed.NewPerson(member(i), "correct horse battery").Authorize(hashing, c.nodes[0], web); err == nil {
							signedIn.Add(1)
						} else {
							refused.Add(1)
						}
					}
				})
			}
			return func() { stop(); people.Wait() }, nil
		})
		if err != nil {
			return err
		}
		figures = append(figures, figure{Name: "p99 of tokens while all hash passwords", Value: float64(busy.p99) / float64(idle.p99), Unit: "× idle", Goal: "≤ 2",
			Note: fmt.Sprintf("%.1f ms instead of %.1f ms at %.0f/s; p50 %.1f instead of %.1f ms; %.0f sign-ins/s, %d refused",
				ms(busy.p99), ms(idle.p99), busy.perSecond(), ms(busy.p50), ms(idle.p50), float64(signedIn.Load())/busy.elapsed.Seconds(), refused.Load())})
		return nil
	})
	return figures, err
}

// paced sends client_credentials, fifty requests a second from each of four callers, as long as other loads.
func (c *spread) paced(ctx context.Context) (load, error) {
	ticks := make([]*time.Ticker, 4)
	for i := range ticks {
		ticks[i] = time.NewTicker(20 * time.Millisecond)
		defer ticks[i].Stop()
	}
	times := make([][]time.Duration, len(ticks))
	l, err := drive(ctx, c.pids, len(ticks), c.o.duration, func(ctx context.Context, w int) error {
		<-ticks[w].C
		at := time.Now()
		_, err := web.Token(ctx, c.nodes[0], url.Values{"grant_type": {"client_credentials"}})
		times[w] = append(times[w], time.Since(at))
		return err
	})
	if err == nil {
		l.times = slices.Concat(times...)
		l.percentiles(times)
	}
	return l, err
}

// turns is how often tokens are measured in and out of what disturbs them: of a thousand requests the tenth slowest says
// little, and what else the machine does meanwhile both have to bear alike.
const turns = 6

// inTurns measures tokens in turns, without and with what begin begins and its result ends.
func (c *spread) inTurns(ctx context.Context, begin func() (end func(), err error)) (idle, busy load, err error) {
	for range turns {
		l, err := c.paced(ctx)
		if err != nil {
			return idle, busy, err
		}
		idle.add(l)
		end, err := begin()
		if err != nil {
			return idle, busy, err
		}
		l, err = c.paced(ctx)
		end()
		if err != nil {
			return idle, busy, err
		}
		busy.add(l)
	}
	return idle, busy, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

const (
	floodNoticed  = time.Minute // until the node has seen what it is, at the latest
	floodPeople   = 10          // who sign in meanwhile, one a second, in each kind of browser, and
	floodPatience = 30 * time.Second
	floodNetworks = 10_000           // that some floods come from; the others: from as many as they like
	floodKnocks   = 60 * time.Second // until those are known
)

// flood sends a node bad sign-ins from addresses, at names and with passwords that are never the
// same, and measures what else the node does meanwhile.
func flood(ctx context.Context, o options) (figures []figure, err error) {
	h, err := newHouse(1, bootstrap)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.remove()) }()
	if _, err := h.start(ctx); err != nil {
		return nil, err
	}
	n, c := h.nodes[0], h.spread(o)
	owners := newStrangers(n.public)
	for _, o := range owners {
		if _, err := o.signIn(ctx); err != nil { // from here on this browser is known
			return nil, err
		}
	}
	during, err := n.flooded(ctx, c, owners)
	if err != nil {
		return nil, err
	}
	few, err := n.fromFew(ctx)
	sent, idle, busy := during.sent, during.idle, during.busy
	return []figure{
		{Name: "flood: bad sign-ins", Value: during.perSecond(sent.Refused + sent.Hashed), Unit: "/s", Goal: fmt.Sprintf("%d offered", floodRate),
			Note: fmt.Sprintf("%.0f/s told to wait, %.0f/s checked, %d connections cut; node and load generator share the processors", during.perSecond(sent.Refused), during.perSecond(sent.Hashed), sent.Cut)},
		{Name: "flood: noticed", Value: during.noticed.Seconds(), Unit: "s", Note: "until strangers share a pace, from a hundred names that failed; what follows is measured from then on"},
		{Name: "flood: log entries", Value: during.entries / during.took.Seconds(), Unit: "/s", Goal: "≤ 50"},
		{Name: "flood: p99 of tokens", Value: float64(busy.p99) / float64(idle.p99), Unit: "× idle", Goal: "≤ 2",
			Note: fmt.Sprintf("%.1f ms instead of %.1f ms at %.0f/s; p50 %.1f instead of %.1f ms", ms(busy.p99), ms(idle.p99), busy.perSecond(), ms(busy.p50), ms(idle.p50))},
		{Name: "flood: sign-ins in a known browser", Value: during.known.share, Unit: "% succeed", Goal: "100", Note: during.known.String()},
		{Name: "flood: sign-ins in a new browser", Value: during.fresh.share, Unit: "% succeed", Note: "within 30 s, waiting as told; passkeys are not held up; " + during.fresh.String()},
		{Name: "flood from 10 000 addresses: in a new browser", Value: few.share, Unit: "% succeed", Note: "the same, after a minute; " + few.String()},
	}, err
}

// A siege is what a flood that comes from everywhere does to a node.
type siege struct {
	noticed      time.Duration // after which it was
	took         time.Duration // of what is measured from then on:
	sent         counted
	entries      float64
	idle, busy   load // tokens, in turns without and with the flood
	known, fresh luck // browsers, after that
}

func (s *siege) perSecond(n int64) float64 { return float64(n) / s.took.Seconds() }

// flooded has n flooded, of which c measures the tokens, and people sign in who are known there and
// who are not.
func (n *houseNode) flooded(ctx context.Context, c *spread, owners []*stranger) (s siege, err error) {
	f, err := startFlood(ctx, n.public, 0)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	if s.noticed, err = n.noticed(ctx); err != nil {
		return s, err
	}
	if err := f.pause(ctx); err != nil {
		return s, err
	}
	entries, err := n.entries(ctx)
	if err != nil {
		return s, err
	}
	before := *f.last.Load()
	var stopped error
	s.idle, s.busy, err = c.inTurns(ctx, func() (func(), error) {
		began := time.Now()
		end := func() {
			s.took += time.Since(began)
			stopped = errors.Join(stopped, f.pause(ctx))
		}
		return end, errors.Join(f.signal(syscall.SIGCONT), sleep(ctx, time.Second)) // until all who come at once have come
	})
	if err := errors.Join(err, stopped); err != nil {
		return s, err
	}
	after, err := n.entries(ctx)
	if err := errors.Join(err, f.signal(syscall.SIGCONT)); err != nil {
		return s, err
	}
	s.entries, s.sent = after-entries, *f.last.Load()
	s.sent.Refused, s.sent.Hashed = s.sent.Refused-before.Refused, s.sent.Hashed-before.Hashed
	s.known, s.fresh = people(ctx, owners), people(ctx, newStrangers(n.public))
	return s, err
}

// fromFew is how people fare in new browsers in a flood from so many networks that a node can
// know which do not wait.
func (n *houseNode) fromFew(ctx context.Context) (luck, error) {
	f, err := startFlood(ctx, n.public, floodNetworks)
	if err != nil {
		return luck{}, err
	}
	err = sleep(ctx, floodKnocks)
	rate := float64(f.last.Load().Refused) / floodKnocks.Seconds()
	l := people(ctx, newStrangers(n.public))
	l.fault += fmt.Sprintf("; %.0f bad sign-ins a second", rate)
	return l, errors.Join(err, f.stop())
}

// noticed waits until the node knows that a list is tried out, and returns how long that took.
func (n *houseNode) noticed(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	for {
		waves, err := testbed.Sample(ctx, n.operations, `quis_signin_waves{kind="stuffing"}`)
		if took := time.Since(begun); err != nil || waves > 0 {
			return took, err
		} else if took > floodNoticed {
			return took, fmt.Errorf("no flood noticed in %s", took)
		}
		if err := sleep(ctx, time.Second/10); err != nil {
			return 0, err
		}
	}
}

// A luck is how people fared.
type luck struct {
	share float64 // per cent that got in at once
	worst time.Duration
	fault string // why one of the others did not
}

func (l luck) String() string { return fmt.Sprintf("slowest %.0f ms%s", ms(l.worst), l.fault) }

// people have one browser after the other sign in, a second apart, however long it takes them.
func people(ctx context.Context, browsers []*stranger) (l luck) {
	took, errs := make([]time.Duration, len(browsers)), make([]error, len(browsers))
	var all sync.WaitGroup
	for i, s := range browsers {
		all.Go(func() {
			if errs[i] = sleep(ctx, time.Duration(i)*time.Second); errs[i] == nil {
				took[i], errs[i] = s.persist(ctx)
			}
		})
	}
	all.Wait()
	for i, d := range took {
		if errs[i] == nil {
			l.share, l.worst = l.share+100/float64(len(took)), max(l.worst, d)
		} else {
			l.fault = fmt.Sprintf("; another: %.60s", errs[i])
		}
	}
	return l
}

func newStrangers(node string) []*stranger {
	all := make([]*stranger, floodPeople)
	for i := range all {
		all[i] = newStranger(node)
	}
	return all
}

// errHeld is that of a stranger who is told to wait.
var errHeld = errors.New("told to wait")

// persist is signIn of somebody who waits as long as they are told, and gives up in the end.
func (s *stranger) persist(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, floodPatience)
	defer cancel()
	for {
		_, err := s.signIn(ctx)
		if !errors.Is(err, errHeld) {
			return time.Since(begun), err
		}
		if errors.Is(sleep(ctx, s.held), context.DeadlineExceeded) {
			return 0, err
		}
	}
}

// sleep waits, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// entries is how many entries the log has.
func (n *houseNode) entries(ctx context.Context) (float64, error) {
	return testbed.Sample(ctx, n.operations, "quis_raft_commit_index")
}

// anyAddress is one of sixteen million.
func anyAddress() string {
	n := rand.Uint32()
	return fmt.Sprintf("10.%d.%d.%d", n>>16&0xff, n>>8&0xff, n&0xff)
}

// A stranger is a browser at addresses of its own choosing, which the node believes.
type stranger struct {
	node    string
	address string
	held    time.Duration // as it was told at last
	http    *http.Client
}

func newStranger(node string) *stranger {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &stranger{node: node, address: anyAddress(), http: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *stranger) cookies() string {
	u, _ := url.Parse(s.node)
	var all []string
	for _, c := range s.http.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// send makes one request, and returns how long the answer took.
func (s *stranger) send(ctx context.Context, path string, form url.Values) (status int, header http.Header, body string, took time.Duration, err error) {
	method, content := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, content = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, s.node+path, content)
	if err != nil {
		return 0, nil, "", 0, err
	}
	req.Header.Set("X-Forwarded-For", s.address)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", s.node)
	}
	began := time.Now()
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, "", 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, resp.Header, string(b), time.Since(began), err
}

var hiddenFlow = regexp.MustCompile(`name="flow" value="([^"]*)"`)

// form opens a page, goes where it leads, and returns the flow of its form.
func (s *stranger) form(ctx context.Context, path string) (flow string, err error) {
	for range 4 {
		status, header, body, _, err := s.send(ctx, path, nil)
		if err != nil {
			return "", err
		}
		if found := hiddenFlow.FindStringSubmatch(body); found != nil {
			return found[1], nil
		}
		to := header.Get("Location")
		if _, refresh, ok := strings.Cut(header.Get("Refresh"), "url="); to == "" && ok {
			to = refresh
		}
		u, err := url.Parse(to)
		if err != nil || to == "" {
			return "", fmt.Errorf("%s: status %d, no form: %.200s", path, status, body)
		}
		path = u.RequestURI()
	}
	return "", fmt.Errorf("%s leads in circles", path)
}

// signIn signs the owner in, in this browser, and returns how long the request took that did.
func (s *stranger) signIn(ctx context.Context) (time.Duration, error) {
	u, err := url.Parse(s.node)
	if err != nil {
		return 0, err
	}
	s.http.Jar.SetCookies(u, []*http.Cookie{{Name: "quis_session", Path: "/", MaxAge: -1}}) // it has ended
	flow, err := s.form(ctx, "/login")
	if err != nil {
		return 0, err
	}
	status, header, body, took, err := s.send(ctx, "/login", url.Values{"flow": {flow}, "username": {"tester"}, "password": {"correct horse battery"}})
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		wait, err := strconv.Atoi(header.Get("Retry-After"))
		s.held = time.Duration(wait) * time.Second
		return 0, errors.Join(errHeld, err)
	}
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("sign in: status %d: %.200s", status, body)
	}
	return took, err
}

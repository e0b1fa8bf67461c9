package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	timedNames = 40 // that somebody has, and as many that nobody has: below a hundred together, which would be a list
	timedTurns = 4  // how often each is asked about: after more, everybody has to wait for that name
	timedRuns  = 2  // each on a node that was never asked before

	// What chance alone makes of so many samples three times in a thousand; twice in a row it is none.
	timedMost = 0.12
)

// A question is something that a stranger can ask about a name.
type question struct {
	name string
	page string                                 // where it is asked
	ask  func(name string) (string, url.Values) // path and form but for the flow; no form: a page
	want int                                    // status
}

var questions = []question{
	{"a wrong password", "/login", func(name string) (string, url.Values) {
		return "/login", url.Values{"username": {name}, "password": {fmt.Sprint("not it ", rand.Uint64())}}
	}, http.StatusUnauthorized},
	{"a wrong password, by address", "/login", func(name string) (string, url.Values) {
		return "/login", url.Values{"username": {name + "@example.com"}, "password": {fmt.Sprint("not it ", rand.Uint64())}}
	}, http.StatusUnauthorized},
	{"a code by mail", "/login", func(name string) (string, url.Values) {
		return "/login/mail", url.Values{"username": {name}}
	}, http.StatusOK},
	{"getting back in", "/recover", func(name string) (string, url.Values) {
		return "/login/mail", url.Values{"username": {name}}
	}, http.StatusOK},
	{"the challenge for a passkey", "", func(name string) (string, url.Values) {
		return "/oauth2/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {web.ClientID}, "redirect_uri": {web.RedirectURI}, "scope": {"openid"}, "state": {"0123456789"},
			"nonce": {"0123456789"}, "code_challenge": {strings.Repeat("0", 43)}, "code_challenge_method": {"S256"}, "login_hint": {name},
		}.Encode(), nil
	}, http.StatusOK},
}

// timing asks a node about names that somebody has and such that nobody has, in turn, and compares
// how long the answers take. The value is what an attacker gains who sees one answer of each kind
// and says which was which (Somers' D of the two samples, from the rank sums of Mann and Whitney):
// 0 is chance, 1 is certainty. One that is over what chance makes, twice, is an error. Other work on the machine falls on both kinds alike.
func timing(ctx context.Context, _ options) (figures []figure, err error) {
	var told []error
	for _, q := range questions {
		f, err := q.measure(ctx)
		if err == nil && f.Value > timedMost {
			f, err = q.measure(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
		if figures = append(figures, f); f.Value > timedMost {
			told = append(told, fmt.Errorf("%s tells who is there by the time that it takes: %.2f, twice", q.name, f.Value))
		}
	}
	return figures, errors.Join(told...)
}

// fresh asks a node that was never asked before: who asks about too many names tries out a list.
func (q question) fresh(ctx context.Context, took *[2][]time.Duration) (err error) {
	h, err := newHouse(1, bootstrap)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.remove()) }()
	if _, err := h.start(ctx); err != nil {
		return err
	}
	node := h.nodes[0].public
	if err := administer(ctx, http.MethodPatch, node+"/api/v1/settings/authentication", `{"allow_email_otp":true}`); err != nil {
		return err
	}
	for i := range timedNames {
		body := fmt.Sprintf(`{"username":%q,"email":%q,"email_verified":true,"password":"seven green horses on a hill %d"}`, somebody(i), somebody(i)+"@example.com", i)
		if err := administer(ctx, http.MethodPost, node+"/api/v1/users", body); err != nil {
			return err
		}
	}
	return q.all(ctx, node, took)
}

// Names of one length, so that nothing else differs.
func somebody(i int) string { return fmt.Sprintf("person%03d", i) }
func noSuch(i int) string   { return fmt.Sprintf("perzon%03d", i) }

// all asks a node about all names, in turn, and adds what it took.
func (q question) all(ctx context.Context, node string, took *[2][]time.Duration) error {
	for range timedTurns {
		for _, i := range rand.Perm(timedNames) {
			pair := [2]string{somebody(i), noSuch(i)}
			first := rand.IntN(2)
			for _, who := range [2]int{first, 1 - first} {
				d, err := q.once(ctx, node, pair[who])
				if err != nil {
					return err
				}
				took[who] = append(took[who], d)
			}
		}
	}
	return nil
}

func (q question) measure(ctx context.Context) (figure, error) {
	var took [2][]time.Duration // somebody, nobody
	for range timedRuns {
		if err := q.fresh(ctx, &took); err != nil {
			return figure{}, err
		}
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	half := len(took[0]) / 2
	return figure{
		Name: "timing: known and unknown names, " + q.name, Value: math.Abs(advantage(took[0], took[1])), Unit: "advantage", Goal: fmt.Sprint("≤ ", timedMost),
		Note: fmt.Sprintf("medians %.3f and %.3f ms of %d each; 0 is chance, 1 certainty", ms(took[0][half]), ms(took[1][half]), len(took[0])),
	}, nil
}

// once asks one question from a browser and an address that were never seen, and returns how long
// the answer took.
func (q question) once(ctx context.Context, node, name string) (time.Duration, error) {
	s := newStranger(node)
	path, form := q.ask(name)
	if q.page != "" {
		flow, err := s.form(ctx, q.page)
		if err != nil {
			return 0, err
		}
		form.Set("flow", flow)
	} else {
		_, header, _, _, err := s.send(ctx, path, nil)
		if err != nil {
			return 0, err
		}
		u, err := url.Parse(header.Get("Location"))
		if err != nil {
			return 0, err
		}
		path = u.RequestURI()
	}
	status, _, body, took, err := s.send(ctx, path, form)
	if err == nil && status != q.want {
		err = fmt.Errorf("status %d: %.300s", status, body)
	}
	return took, err
}

// advantage is Somers' D: how much more often a value of a is above one of b than below it. Both
// are sorted.
func advantage(a, b []time.Duration) float64 {
	above := 0
	for _, v := range a {
		at, _ := slices.BinarySearchFunc(b, v, cmp.Compare[time.Duration])
		end, _ := slices.BinarySearchFunc(b, v+1, cmp.Compare[time.Duration])
		above += at - (len(b) - end)
	}
	return float64(above) / float64(len(a)*len(b))
}

// administer changes something through the admin API.
func administer(ctx context.Context, method, at, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+adminKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: status %d: %.300s", method, at, resp.StatusCode, b)
	}
	return err
}

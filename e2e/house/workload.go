package house

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/e2e/history"
	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// answerWithin is how long a client waits for one answer.
const answerWithin = 6 * time.Second

// Work runs the clients until ctx ends.
func (h *House) Work(ctx context.Context) {
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() { h.people(ctx, i) })
	}
	all.Go(func() { h.names(ctx) })
	for i := range 4 {
		if i < 2 {
			all.Go(func() { h.registers(ctx, i) })
		}
		all.Go(func() { h.counters(ctx, i) })
	}
	all.Go(func() { h.watchKeys(ctx) })
	all.Wait()
}

// any returns a room; nobody need be in it.
func (h *House) any(r *rand.Rand) *Room { return h.Rooms[r.IntN(len(h.Rooms))] }

// pair returns two different rooms.
func (h *House) pair(r *rand.Rand) [2]*Room {
	i := r.IntN(len(h.Rooms))
	return [2]*Room{h.Rooms[i], h.Rooms[(i+1+r.IntN(len(h.Rooms)-1))%len(h.Rooms)]}
}

// outcome says what a client knows after an answer of any endpoint.
func (h *House) outcome(what string, err error) history.Outcome {
	status := client.Status(err)
	var e *client.Error
	var s *testbed.StatusError
	if errors.As(err, &s) {
		status = s.Status
	}
	var dial *net.OpError
	switch {
	case err == nil:
		return history.OK
	case errors.As(err, &dial) && dial.Op == "dial", status == http.StatusTooManyRequests:
		return history.Never
	case errors.As(err, &e) && (e.Problem.Type == problem.TypeUnavailable || e.Problem.Type == problem.TypeConflict):
		return history.Never
	case status == 0, status == http.StatusServiceUnavailable:
		return history.Unknown
	case status >= 500, status == http.StatusUnauthorized && what != "userinfo", status == http.StatusForbidden, status == http.StatusNotFound:
		h.blame("no answer that must not be", what, "%v", err)
		return history.Unknown
	}
	return history.Refused
}

func note(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("%.120v", err)
}

// people sign in, exchange codes, refresh and revoke.
func (h *House) people(ctx context.Context, i int) {
	r := rand.New(rand.NewPCG(h.seed, uint64(100+i)))
	p := testbed.NewPerson(Username, Password)
	for n := 0; ctx.Err() == nil; n++ {
		one, cancel := context.WithTimeout(ctx, answerWithin)
		a, err := p.Authorize(one, h.any(r).URL, Web)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				h.outcome("sign in", err)
			}
			pause(ctx, 20*time.Millisecond)
			continue
		}
		h.mu.Lock()
		h.logins++
		h.mu.Unlock()
		h.family(ctx, r, fmt.Sprintf("family %d.%d", i, n), a)
	}
}

// both asks two nodes at once, or one of them alone.
func both(race bool, rooms [2]*Room, f func(k int, r *Room)) {
	var all sync.WaitGroup
	for k, r := range rooms {
		if k == 0 || race {
			all.Go(func() { f(k, r) })
		}
	}
	all.Wait()
}

// family is the life of what one code brings.
func (h *House) family(ctx context.Context, r *rand.Rand, key string, a *testbed.Authorization) {
	race := r.IntN(2) == 0
	var got [2]*testbed.Tokens
	var said [2]history.Outcome
	ends := h.Rec.Begin(history.Op{Kind: history.Revoke, Key: key, Note: "whoever exchanges a code twice ends its family"})
	both(race, h.pair(r), func(k int, at *Room) {
		one, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		op := h.Rec.Begin(history.Op{Kind: history.Redeem, Key: "code of " + key, Node: at.Name})
		t, err := Web.Exchange(one, at.URL, a)
		said[k] = h.outcome("exchange", err)
		op.End(said[k], "", note(err))
		if err == nil {
			got[k] = t
			h.signed(t, at)
		}
	})
	if !race && said[0] == history.OK {
		ends.End(history.Never, "", "")
	}
	t := got[0]
	if t == nil {
		t = got[1]
	}
	if t == nil {
		pause(ctx, 50*time.Millisecond)
		return
	}
	h.Rec.Begin(history.Op{Kind: history.Start, Key: key, New: t.RefreshToken}).End(history.OK, "", "")
	held, access := t.RefreshToken, t.AccessToken
	for range 2 + r.IntN(4) {
		next := h.refresh(ctx, r.IntN(2) == 0, h.pair(r), key, held)
		if next == nil {
			continue // the next try asks for the same successor
		}
		held, access = next.RefreshToken, next.AccessToken
	}
	if r.IntN(2) == 0 {
		h.revoke(ctx, r, key, held, access)
	}
}

// refresh trades a token on one node or on two at once.
func (h *House) refresh(ctx context.Context, race bool, rooms [2]*Room, key, held string) *testbed.Tokens {
	var got [2]*testbed.Tokens
	both(race, rooms, func(k int, at *Room) {
		one, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		op := h.Rec.Begin(history.Op{Kind: history.Refresh, Key: key, Node: at.Name, Old: held})
		t, err := Web.Refresh(one, at.URL, held)
		if err != nil {
			op.End(h.outcome("refresh", err), "", note(err))
			return
		}
		op.End(history.OK, t.RefreshToken, "")
		got[k] = t
		h.signed(t, at)
	})
	if got[0] == nil {
		return got[1]
	}
	return got[0]
}

// revoke ends a family on one node and uses it on the others, at once and later.
func (h *House) revoke(ctx context.Context, r *rand.Rand, key, held, access string) {
	rooms := h.pair(r)
	one, cancel := context.WithTimeout(ctx, answerWithin)
	op := h.Rec.Begin(history.Op{Kind: history.Revoke, Key: key, Node: rooms[0].Name})
	err := PostRevoke(one, rooms[0].URL, held)
	cancel()
	op.End(h.outcome("revoke", err), "", note(err))
	for k := range 3 {
		if k == 1 {
			pause(ctx, staleness)
		}
		at := h.any(r)
		if k == 0 {
			at = rooms[1]
		}
		one, cancel := context.WithTimeout(ctx, answerWithin)
		op := h.Rec.Begin(history.Op{Kind: history.Use, Key: key, Node: at.Name})
		_, err := testbed.UserInfo(one, at.URL, access)
		op.End(h.outcome("userinfo", err), "", note(err))
		cancel()
		h.refresh(ctx, false, [2]*Room{at, at}, key, held)
	}
}

// PostRevoke revokes a token at the node with base URL node.
func PostRevoke(ctx context.Context, node, text string) error {
	form := url.Values{"token": {text}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, node+"/oauth2/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(Web.ClientID), url.QueryEscape(Web.Secret))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &testbed.StatusError{Status: resp.StatusCode}
	}
	return nil
}

func admins(rooms []*Room) (out []*client.Client) {
	for _, r := range rooms {
		c, err := client.New(r.URL, Token)
		if err != nil {
			panic(err) // the address is ours
		}
		out = append(out, c)
	}
	return out
}

// names lets two nodes race for every name.
func (h *House) names(ctx context.Context) {
	r := rand.New(rand.NewPCG(h.seed, 200))
	admin := admins(h.Rooms)
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("name-%d", n)
		both(true, h.pair(r), func(k int, at *Room) {
			one, cancel := context.WithTimeout(ctx, answerWithin)
			defer cancel()
			owner := fmt.Sprintf("owner %d", k)
			op := h.Rec.Begin(history.Op{Kind: history.Create, Key: name, Node: at.Name, New: owner})
			_, err := admin[at.Place].Groups.Create(one, client.GroupFields{Name: &name, Description: &owner})
			op.End(h.outcome("create group", err), "", note(err))
		})
		h.look(ctx, h.any(r), history.Lookup, name)
		pause(ctx, 10*time.Millisecond)
	}
}

// groups are those whose descriptions serve as registers and counters, by ID.
type groups struct {
	registers, counters []string
	duty                string
}

func (h *House) makeGroups(ctx context.Context) error {
	admin := admins(h.Rooms)[0]
	var ids []string
	for i := range 6 {
		name := fmt.Sprintf("house-%d", i)
		g, err := admin.Groups.Create(ctx, client.GroupFields{Name: &name})
		if err != nil {
			return err
		}
		ids = append(ids, g.ID)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.groups = groups{registers: ids[:3], counters: ids[3:5], duty: ids[5]}
	return nil
}

// look reads one row as everybody must see it, on one node.
func (h *House) look(ctx context.Context, at *Room, kind history.Kind, key string) {
	n := at.Node()
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	op := h.Rec.Begin(history.Op{Kind: kind, Key: key, Node: at.Name})
	err := n.Cluster().CatchUp(ctx)
	got := ""
	if err == nil {
		got, err = held(ctx, n, kind, key)
	}
	if err != nil {
		op.End(history.Never, "", note(err))
		return
	}
	op.End(history.OK, got, "")
}

// registers writes, swaps and reads.
func (h *House) registers(ctx context.Context, i int) {
	r := rand.New(rand.NewPCG(h.seed, uint64(300+i)))
	admin := admins(h.Rooms)
	for n := 0; ctx.Err() == nil; n++ {
		at, id := h.any(r), h.groups.registers[r.IntN(len(h.groups.registers))]
		text := fmt.Sprintf("%d.%d", i, n)
		one, cancel := context.WithTimeout(ctx, answerWithin)
		switch r.IntN(3) {
		case 0:
			op := h.Rec.Begin(history.Op{Kind: history.Write, Key: id, Node: at.Name, New: text})
			_, err := admin[at.Place].Groups.Update(one, id, client.GroupFields{Description: &text}, "")
			op.End(h.outcome("update group", err), "", note(err))
		case 1:
			g, err := admin[at.Place].Groups.Get(one, id)
			if err != nil {
				break
			}
			at = h.any(r)
			op := h.Rec.Begin(history.Op{Kind: history.Swap, Key: id, Node: at.Name, Old: g.Description, New: text})
			_, err = admin[at.Place].Groups.Update(one, id, client.GroupFields{Description: &text}, g.ETag)
			op.End(h.outcome("update group", err), "", note(err))
		case 2:
			h.look(ctx, at, history.Read, id)
		}
		cancel()
		pause(ctx, 10*time.Millisecond)
	}
}

// counters adds one in a transaction on some node.
func (h *House) counters(ctx context.Context, i int) {
	r := rand.New(rand.NewPCG(h.seed, uint64(400+i)))
	for ctx.Err() == nil {
		at, id := h.any(r), h.groups.counters[r.IntN(len(h.groups.counters))]
		if r.IntN(4) == 0 {
			h.look(ctx, at, history.Count, id)
		} else if n := at.Node(); n != nil {
			one, cancel := context.WithTimeout(ctx, answerWithin)
			op := h.Rec.Begin(history.Op{Kind: history.Add, Key: id, Node: at.Name})
			got, err := add(one, n.DB(), id)
			cancel()
			switch {
			case err == nil:
				op.End(history.OK, got, "")
			case errors.Is(err, fsm.ErrUnavailable), errors.Is(err, fsm.ErrConflict), errors.Is(err, fsm.ErrRefused):
				op.End(history.Never, "", note(err))
			default:
				op.End(history.Unknown, "", note(err))
			}
		}
		pause(ctx, 2*time.Millisecond)
	}
}

func add(ctx context.Context, db *fsm.DB, id string) (got string, err error) {
	err = db.Update(ctx, func(tx *fsm.Tx) error {
		_, err := directory.UpdateGroup(tx, tenant, id, 0, func(g *directory.Group) error {
			n, _ := strconv.Atoi(g.Description) // empty at first
			got = strconv.Itoa(n + 1)
			g.Description = got
			return nil
		})
		return err
	})
	return got, err
}

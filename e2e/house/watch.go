package house

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/e2e/history"
	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/fsm"
)

// watchKeys notes what every node publishes, ready or not.
func (h *House) watchKeys(ctx context.Context) {
	for ctx.Err() == nil {
		for _, r := range h.Rooms {
			one, cancel := context.WithTimeout(ctx, time.Second)
			at := h.Rec.Since()
			kids, err := published(one, r.URL)
			cancel()
			if err == nil {
				h.mu.Lock()
				h.sets = append(h.sets, history.KeySet{Node: r.Name, KIDs: kids, At: at})
				h.mu.Unlock()
			}
		}
		pause(ctx, 20*time.Millisecond)
	}
}

func published(ctx context.Context, node string) (kids []string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+"/.well-known/jwks.json", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &testbed.StatusError{Status: resp.StatusCode}
	}
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		kids = append(kids, k.KID)
	}
	return kids, nil
}

// signed notes with which keys a node has signed.
func (h *House) signed(t *testbed.Tokens, at *Room) {
	now := h.Rec.Since()
	for _, text := range []string{t.AccessToken, t.IDToken} {
		head, _, _ := strings.Cut(text, ".")
		b, err := base64.RawURLEncoding.DecodeString(head)
		var header struct {
			KID string `json:"kid"`
		}
		if err != nil || json.Unmarshal(b, &header) != nil || header.KID == "" {
			continue
		}
		h.mu.Lock()
		h.uses = append(h.uses, history.KeyUse{KID: header.KID, Node: at.Name, At: now})
		h.mu.Unlock()
	}
}

// duties runs a duty of the house's own beside the node, which counts in a row. Unlike an
// honest one it goes on after its term has ended: the log itself must refuse what it writes.
func (h *House) duties(ctx context.Context, node string, n *daemon.Node) {
	for ctx.Err() == nil {
		term, err := n.Cluster().Lead(ctx)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.terms++
		own, id := h.terms, h.groups.duty
		h.mu.Unlock()
		if id == "" {
			pause(ctx, 50*time.Millisecond)
			continue
		}
		for ctx.Err() == nil {
			one, cancel := context.WithTimeout(context.WithoutCancel(term), answerWithin)
			at, err := add(one, n.DB(), id)
			cancel()
			if index, bad := strconv.ParseUint(at, 10, 64); err == nil && bad == nil {
				h.mu.Lock()
				h.duty = append(h.duty, history.DutyWrite{Duty: "house", Node: fmt.Sprint(node, " for the ", own, "th time"), Index: index})
				h.mu.Unlock()
			}
			if errors.Is(err, fsm.ErrFenced) {
				h.mu.Lock()
				h.fenced++
				h.mu.Unlock()
				break
			}
			pause(ctx, 30*time.Millisecond)
		}
	}
}

package process

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/e2e/history"
	"github.com/quis-idp/quis/e2e/testbed"
)

// grace is a little less than the time for which a traded refresh token names its
// successor: within it a refusal is wrong, beyond it right.
const grace = 25 * time.Second

// audit judges what the load has seen, which must have ended, and compares the
// nodes, all of which must be healthy.
func (l *load) audit(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	l.lastRefreshes(ctx)
	nodes := make([]history.Node, 0, len(l.tr.servers))
	for i := range l.tr.servers {
		nodes = append(nodes, l.observed(ctx, i+1))
	}
	bad, _ := history.Audit(ctx, l.rec, nodes)
	bad = append(bad, history.Check(l.rec.Ops(), history.Options{Stale: staleness, Grace: grace})...)
	var said []string
	for _, v := range bad {
		said = append(said, v.String())
	}
	said = append(said, l.odd...)
	for i := range l.tr.servers {
		for _, name := range []string{"quis_http_panics_total", "quis_state_divergence_total"} {
			if n, err := testbed.Sample(ctx, l.tr.node(i+1).operations(), name); err == nil && n != 0 {
				said = append(said, fmt.Sprintf("node %d: %s is %v", i+1, name, n))
			}
		}
	}
	return said
}

// lastRefreshes trades the last token of every family once more: what was answered
// must live, what was revoked must not.
func (l *load) lastRefreshes(ctx context.Context) {
	work := make(chan *familyOf)
	var all sync.WaitGroup
	for i := range l.tr.servers {
		all.Go(func() {
			for f := range work {
				l.refresh(ctx, f.key, f.token, i+1)
			}
		})
	}
	for _, f := range l.families {
		work <- f
	}
	close(work)
	all.Wait()
}

// observed is node i as the audit asks it.
func (l *load) observed(ctx context.Context, i int) history.Node {
	admin := l.tr.admins[i-1]
	users := sync.OnceValues(func() (map[string]string, error) { return l.users(ctx, i) }) // when the nodes have settled
	name := fmt.Sprintf("node-%d", i)
	return history.Node{
		Name: name,
		Applied: func(ctx context.Context) (uint64, error) {
			s, err := status3(ctx, admin)
			if err != nil {
				return 0, err
			}
			return s.AppliedIndex, nil
		},
		Chain: func(ctx context.Context) (uint64, []byte, error) {
			s, err := status3(ctx, admin)
			if err != nil {
				return 0, nil, err
			}
			head, err := hex.DecodeString(s.AppliedChain)
			return s.AppliedIndex, head, err
		},
		Read: func(_ context.Context, _ history.Kind, key string) (string, error) {
			all, err := users()
			return all[key], err
		},
	}
}

func status3(ctx context.Context, admin *client.Client) (*client.ClusterStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return admin.Status(ctx)
}

// users lists what node i itself has of the users that the load made: their display
// names by username.
func (l *load) users(ctx context.Context, i int) (map[string]string, error) {
	all := map[string]string{}
	q := url.Values{"search": {l.prefix}, "limit": {"200"}}
	for {
		var page client.Page[client.User]
		if err := l.tr.admin(ctx, i, http.MethodGet, "/users?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		for _, u := range page.Data {
			all[u.Username] = u.Name
		}
		if !page.HasMore {
			return all, nil
		}
		q.Set("after", page.Next)
	}
}

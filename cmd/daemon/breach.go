package daemon

import (
	"context"
	"fmt"
	"net/http"

	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/breach"
)

// newPasswordChecks returns how new passwords are looked up in leaks. The set stays open for
// as long as the process runs: another one takes a restart.
func (n *Node) newPasswordChecks() (checks credential.Checks, err error) {
	cfg := breach.Config{Logger: n.log, Registerer: n.metrics.Registry}
	if file := n.cfg.BreachFile; file != "" {
		if cfg.Set, err = breach.Open(file); err != nil {
			return checks, fmt.Errorf("breach_file: %w", err)
		}
	}
	if url := n.cfg.BreachURL; url != "" {
		if err := n.outbound.Check(url); err != nil {
			return checks, fmt.Errorf("breach_url: %w", err)
		}
		// An answer has about 800 lines of 40 bytes, and as many of padding.
		document := fetch.Document{
			Name: "breached passwords", Types: []string{"text/plain"}, MaxBytes: 512 << 10, Header: http.Header{"Add-Padding": {"true"}},
		}
		asking := n.outbound.Apart()
		cfg.Range = func(ctx context.Context, prefix string) ([]byte, error) {
			answer, err := asking.Get(ctx, url+prefix, document)
			return answer.Body, err
		}
	}
	checks.Breached, checks.BreachedHere = breach.New(cfg).Asks()
	return checks, nil
}

package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/quis-idp/quis/cmd/daemon/bootstrap"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys/seal"
)

// demoURL is where `quis dev` serves the demo application.
const demoURL = "http://localhost:8090"

// setupLoop makes sure that this node's setup is done once whenever it comes to
// lead, until that has succeeded: a later leader may have been given another
// bootstrap file.
func (n *Node) setupLoop(ctx context.Context) {
	for {
		term, err := n.cluster.Lead(ctx)
		if err != nil {
			return // ctx has ended
		}
		for wait := 50 * time.Millisecond; term.Err() == nil; wait = min(2*wait, 5*time.Second) {
			err := n.setup(identity.WithActor(term, identity.Actor{Kind: identity.ActorSystem}))
			if err == nil {
				n.setupDone.Store(true)
				return
			}
			n.setupFault.Store(&err)
			if term.Err() == nil {
				n.log.Error("first-start setup is not done, trying again", "error", err, "wait", wait)
			}
			select {
			case <-term.Done():
			case <-time.After(wait):
			}
		}
	}
}

// setup brings a new cluster to the point where people can sign in. Every step
// does nothing where it has been done before.
func (n *Node) setup(ctx context.Context) error {
	err := n.db.Update(ctx, func(tx *fsm.Tx) error {
		if err := seal.Init(tx, n.root); err != nil {
			return err
		}
		return directory.EnsureDefault(tx)
	})
	if err != nil {
		return err
	}
	if err := n.keys.Ensure(ctx, identity.DefaultTenant); err != nil {
		return err
	}
	if n.cfg.Dev {
		if err := n.registerDemo(ctx); err != nil {
			return err
		}
	}
	if n.bootstrap != nil {
		if err := n.bootstrap.Apply(ctx, bootstrap.Rooms{DB: n.db, Ring: n.ring, Passwords: n.passwords}); err != nil {
			return err
		}
	}
	return n.db.Update(ctx, func(tx *fsm.Tx) error {
		there, err := setUps.Has(tx, fsm.Global, fsm.K("setup"))
		if err != nil || there {
			return err
		}
		return setUps.Insert(tx, &setUp{Done: tx.Now(), Version: Version})
	})
}

// registerDemo registers the demo application of development mode.
func (n *Node) registerDemo(ctx context.Context) error {
	return n.db.Update(ctx, func(tx *fsm.Tx) error {
		_, err := federation.ByClientID(tx, identity.DefaultTenant, "demo")
		if !errors.Is(err, fsm.ErrNotFound) {
			return err
		}
		_, err = federation.Create(tx, n.ring, &federation.Application{
			Tenant:         identity.DefaultTenant,
			ClientID:       "demo",
			Name:           "demo",
			FriendlyName:   "Demo application",
			Description:    "Part of quis dev: shows the tokens that it gets.",
			Type:           federation.TypeSPA,
			IsPublic:       true,
			RequirePKCE:    true,
			RedirectURIs:   []string{demoURL + "/callback"},
			PostLogoutURIs: []string{demoURL + "/"},
			AllowedScopes:  []string{federation.ScopeOpenID, "profile", "email", "groups", "offline_access"},
			GrantTypes:     []string{federation.GrantCode, "refresh_token"},
			LaunchURL:      demoURL,
		}, "")
		return err
	})
}

// checkSetup is the readiness check of the setup: done here, or, on a node that
// does not lead, by whoever does.
func (n *Node) checkSetup(ctx context.Context) error {
	if n.setupSeen.Load() {
		return nil
	}
	if fault := n.setupFault.Load(); fault != nil && !n.setupDone.Load() && n.cluster.IsLeader() {
		return *fault
	}
	if n.cluster.IsLeader() && !n.setupDone.Load() {
		return errors.New("this node leads and is setting up")
	}
	err := n.db.View(ctx, func(tx *fsm.Tx) error {
		_, err := setUps.Get(tx, fsm.Global, fsm.K("setup"))
		return err
	})
	switch {
	case errors.Is(err, fsm.ErrNotFound):
		return errors.New("the leader is setting up")
	case err == nil:
		n.setupSeen.Store(true)
	}
	return err
}

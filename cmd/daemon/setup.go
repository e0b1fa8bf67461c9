package daemon

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cmd/daemon/bootstrap"
	"github.com/quis-idp/quis/cmd/demo"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys/seal"
)

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
			if n.cfg.Dev && hopeless(err) {
				n.fail(err) // somebody sits before it and waits
				return
			}
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
		if err := n.archive.Say(tx); err != nil {
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
	applied, err := n.applied(ctx)
	if err != nil || applied {
		return err
	}
	if n.bootstrap != nil {
		if err := n.bootstrap.Apply(ctx, bootstrap.Rooms{DB: n.db, Ring: n.ring, Passwords: n.passwords, Checks: n.passwordChecks}); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	return n.db.Update(ctx, func(tx *fsm.Tx) error {
		again, err := setUps.Has(tx, fsm.Global, fsm.K("setup"))
		if err != nil {
			return err
		}
		if !again {
			if err := feature.Want(tx, feature.Applications); err != nil {
				return err
			}
		}
		return setUps.Put(tx, &setUp{Done: tx.Now(), Version: Version, Bootstrap: n.bootstrapMAC()})
	})
}

// applied reports whether there is nothing left to apply: the setup has been done,
// and if this node was given a bootstrap file, another node has applied the same
// one since this node started. A new leader must not hash passwords before it is
// ready only to find that all is as it should be.
func (n *Node) applied(ctx context.Context) (bool, error) {
	var done *setUp
	err := n.db.Read(ctx, func(tx *fsm.Tx) (err error) {
		done, err = setUps.Get(tx, fsm.Global, fsm.K("setup"))
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return false, nil
	}
	if err != nil || n.bootstrap == nil {
		return err == nil, err
	}
	return n.sameBootstrap(done.Bootstrap) && done.Done.After(n.began), nil
}

// hopeless reports whether trying again cannot help: the bootstrap file asks for
// what cannot be.
func hopeless(err error) bool {
	for _, kind := range []error{fsm.ErrUnavailable, fsm.ErrUnknown, fsm.ErrConflict, fsm.ErrFenced, identity.ErrLimited, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, kind) {
			return false
		}
	}
	return true
}

// registerDemo registers the demo application of development mode.
func (n *Node) registerDemo(ctx context.Context) error {
	at := demo.URL(n.cfg.PublicURL)
	if at == "" { // no `quis dev` gives such a URL
		return nil
	}
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
			RedirectURIs:   []string{at + "/callback"},
			PostLogoutURIs: []string{at + "/"},
			AllowedScopes:  []string{federation.ScopeOpenID, "profile", "email", "groups", "offline_access"},
			GrantTypes:     []string{federation.GrantCode, "refresh_token"},
			LaunchURL:      at,
		}, "")
		if err != nil {
			return err
		}
		// On a developer's machine applications may come by themselves.
		return register.SetPolicy(tx, register.Policy{Tenant: identity.DefaultTenant, Mode: register.Open, Documents: true})
	})
}

// checkSetup is the readiness check of the setup: done here, or, on a node that
// does not lead, by whoever does.
func (n *Node) checkSetup(ctx context.Context) error {
	if n.cluster.IsLeader() && !n.setupDone.Load() {
		if fault := n.setupFault.Load(); fault != nil {
			return *fault
		}
		return errors.New("this node leads and is setting up")
	}
	if n.setupSeen.Load() {
		return nil
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

// macsOf returns MACs of a file's content, one under each root key.
func (n *Node) macsOf(file string) (out [][]byte, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, readError(err)
	}
	for _, k := range n.root.Keys() {
		key := k.Derive("bootstrap file")
		h := hmac.New(sha256.New, key[:])
		h.Write(text)
		out = append(out, h.Sum(nil))
	}
	return out, nil
}

// sameBootstrap reports whether mac is one of this node's file, by whichever root key.
func (n *Node) sameBootstrap(mac []byte) bool {
	return slices.ContainsFunc(n.bootstrapMACs, func(m []byte) bool { return hmac.Equal(m, mac) })
}

// bootstrapMAC is what this node writes down of its file; nothing without one.
func (n *Node) bootstrapMAC() []byte {
	if len(n.bootstrapMACs) == 0 {
		return nil
	}
	return n.bootstrapMACs[0]
}

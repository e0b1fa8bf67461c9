package settings_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// A council is a cluster whose default tenant wants two administrators.
type council struct {
	*fsmtest.Cluster
	t *testing.T
}

func newCouncil(t *testing.T, nodes int) *council {
	t.Helper()
	c := &council{fsmtest.NewCluster(t, nodes, slices.Concat(event.Tables, directory.Tables, settings.Tables)...), t}
	c.must(c.DB[0].Update(t.Context(), directory.EnsureDefault))
	c.must(c.put(operator(t), true))
	return c
}

func (c *council) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func operator(t *testing.T) context.Context {
	return identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorOperator})
}

// appoint has somebody make a new administrator, and returns what that one does.
func (c *council) appoint(by context.Context, tenant, name string) context.Context {
	c.t.Helper()
	var id string
	c.must(c.DB[0].Update(by, func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, tenant, directory.User{Username: name, Admin: true})
		if err == nil {
			id = u.ID
		}
		return err
	}))
	return identity.WithActor(c.t.Context(), identity.Actor{Kind: identity.ActorUser, ID: id})
}

func (c *council) put(by context.Context, two bool) error {
	return c.DB[0].Update(by, func(tx *fsm.Tx) error {
		s, _, err := settings.Get(tx, ten)
		if err != nil {
			return err
		}
		a := *s
		a.Recovery.TwoPerson = two
		return settings.Put(tx, 0, a)
	})
}

func (c *council) ask(by context.Context) (id string) {
	c.t.Helper()
	c.must(c.DB[0].Update(by, func(tx *fsm.Tx) error {
		l, err := settings.AskLowering(tx, ten)
		if err == nil {
			id = l.ID
		}
		return err
	}))
	return id
}

func (c *council) agree(by context.Context, id string) error { return c.agreeAt(0, by, id) }

func (c *council) agreeAt(node int, by context.Context, id string) error {
	return c.DB[node].Update(by, func(tx *fsm.Tx) error { return settings.AgreeLowering(tx, ten, id) })
}

// want fails unless the rule is on, or off.
func (c *council) want(two bool) {
	c.t.Helper()
	if a, _ := get(c.t, c.DB[0]); a.Recovery.TwoPerson != two {
		c.t.Errorf("two_person is %t", a.Recovery.TwoPerson)
	}
}

func (c *council) events(what event.Type) (found []event.Event) {
	c.t.Helper()
	c.must(c.DB[0].View(c.t.Context(), func(tx *fsm.Tx) (err error) {
		found, _, err = event.List(tx, ten, event.Query{Type: string(what), Limit: 100})
		return err
	}))
	return found
}

func TestOneAdministratorDoesNotEndTheTwoPersonRule(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 1)
	root, other := c.appoint(operator(t), ten, "root"), c.appoint(operator(t), ten, "other")
	for who, ctx := range map[string]context.Context{
		"an administrator": root, "the system": t.Context(),
		"a stranger":     identity.WithRequest(t.Context(), identity.Request{}),
		"an application": identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorApplication, ID: "app_x"}),
	} {
		if err := c.put(ctx, false); !errors.Is(err, identity.ErrDenied) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if err := c.put(root, true); err != nil {
		t.Errorf("what leaves the rule on: %v", err)
	}
	former := c.ask(root)
	id := c.ask(root)
	for who, err := range map[string]error{
		"who asked": c.agree(root, id), "what was replaced": c.agree(other, former), "nothing": c.agree(other, ""),
		"the system":         c.agree(t.Context(), id),
		"a user who is gone": c.agree(identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: "usr_gone"}), id),
		"who is acted for":   c.agree(identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: identity.ActorFrom(other).ID, Impersonator: identity.ActorFrom(root).ID}), id),
	} {
		if !errors.Is(err, identity.ErrDenied) && !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%s: %v", who, err)
		}
	}
	c.want(true)
	c.must(c.agree(other, id))
	c.want(false)
	last := c.events(event.SettingsUpdated)[0]
	if last.Actor.ID != identity.ActorFrom(other).ID || last.Data["asked_by"] != "user "+identity.ActorFrom(root).ID || last.Data["lowering"] != id {
		t.Errorf("%+v", last)
	}
	if err := c.DB[0].Update(root, func(tx *fsm.Tx) error { _, err := settings.AskLowering(tx, ten); return err }); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("asked where one is enough: %v", err)
	}
	c.must(c.put(root, true)) // at once, by one
	c.want(true)
	c.must(c.put(operator(t), false))
	c.want(false)
}

// Who makes another account is still one person: neither of the two may be younger than a day,
// by whatever chain they were appointed.
func TestAnAccountOfOnesOwnIsNoSecondAdministrator(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 1)
	root := c.appoint(operator(t), ten, "root")
	puppet := c.appoint(root, ten, "puppet")
	further := c.appoint(puppet, ten, "further")
	nobody := identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorAnonymous})
	invited := c.appoint(nobody, ten, "invited") // who follows an invitation has proved nothing yet
	plain := c.appoint(operator(t), ten, "plain")
	for _, admin := range []bool{false, true} { // an old account, raised by root
		c.must(c.DB[0].Update(root, func(tx *fsm.Tx) error {
			_, err := directory.UpdateUser(tx, ten, identity.ActorFrom(plain).ID, 0, func(u *directory.User) error {
				u.Admin, u.Appointed = admin, time.Time{}
				return nil
			})
			return err
		}))
	}
	try := func() (denied int) {
		for _, who := range []context.Context{puppet, further, invited, plain} {
			for _, pair := range [][2]context.Context{{root, who}, {who, root}} {
				err := c.agree(pair[1], c.ask(pair[0]))
				if errors.Is(err, identity.ErrDenied) {
					denied++
					continue
				}
				c.must(err)
				c.must(c.put(root, true))
			}
		}
		return denied
	}
	if n := try(); n != 8 {
		t.Errorf("%d of 8 are denied", n)
	}
	c.want(true)
	c.Pass(t, settings.Probation)
	if n := try(); n != 0 {
		t.Errorf("%d are denied a day later", n)
	}
	id := c.ask(root)
	c.must(c.DB[0].Update(operator(t), func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, identity.ActorFrom(root).ID, 0, func(u *directory.User) error { u.Disabled = true; return nil })
		return err
	}))
	if err := c.agree(puppet, id); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("with who is disabled: %v", err)
	}
}

// What was asked for while the rule was on is worth nothing once it was off, or after its time.
func TestALoweringDoesNotOutliveItsRule(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 1)
	root, other := c.appoint(operator(t), ten, "root"), c.appoint(operator(t), ten, "other")
	id := c.ask(root)
	c.must(c.put(operator(t), false))
	c.must(c.put(root, true))
	if err := c.agree(other, id); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("after off and on: %v", err)
	}
	id = c.ask(root)
	c.must(c.DB[0].Update(other, func(tx *fsm.Tx) error { return settings.WithdrawLowering(tx, ten) }))
	if err := c.agree(other, id); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("withdrawn: %v", err)
	}
	id = c.ask(root)
	c.Pass(t, 7*24*time.Hour)
	if err := c.agree(other, id); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("too late: %v", err)
	}
	c.want(true)
	if a, w := len(c.events(event.SettingsLoweringAsked)), len(c.events(event.SettingsLoweringCancelled)); a != 3 || w != 1 {
		t.Errorf("%d asked, %d withdrawn", a, w)
	}
}

// An administrator of the default tenant is one of two in any tenant; one of another is not.
func TestWhoAdministersAnotherTenantIsNoSecondAdministrator(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 1)
	var acme *directory.Tenant
	c.must(c.DB[0].Update(t.Context(), func(tx *fsm.Tx) (err error) {
		acme, err = directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"})
		return err
	}))
	root, boss := c.appoint(operator(t), ten, "root"), c.appoint(operator(t), acme.ID, "boss")
	second := func(tenant string, first, by context.Context) error {
		return c.DB[0].View(by, func(tx *fsm.Tx) error { return settings.Second(tx, tenant, identity.ActorFrom(first)) })
	}
	if err := second(acme.ID, boss, root); err != nil {
		t.Error(err)
	}
	if err := second(ten, root, boss); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("a stranger to the tenant: %v", err)
	}
}

// Two agree, one withdraws and one asks anew, at once on three nodes: the rule ends once, by
// what was agreed with, or not at all.
func TestLoweringOnThreeNodes(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 3)
	root, other, third := c.appoint(operator(t), ten, "root"), c.appoint(operator(t), ten, "other"), c.appoint(operator(t), ten, "third")
	for range 30 {
		id := c.ask(root)
		before := len(c.events(event.SettingsUpdated))
		errs := make([]error, 3)
		var wg sync.WaitGroup
		wg.Go(func() { errs[0] = c.agreeAt(0, other, id) })
		wg.Go(func() { errs[1] = c.agreeAt(1, third, id) })
		wg.Go(func() {
			errs[2] = c.DB[2].Update(root, func(tx *fsm.Tx) error { return settings.WithdrawLowering(tx, ten) })
		})
		wg.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else if !errors.Is(err, fsm.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if done != 1 {
			t.Fatalf("%d were done: %v", done, errs)
		}
		c.want(errs[2] == nil)
		if n := len(c.events(event.SettingsUpdated)) - before; (n == 1) == (errs[2] == nil) {
			t.Fatalf("%d events, %v", n, errs)
		}
		c.must(c.put(root, true))
	}
}

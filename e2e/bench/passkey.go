package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
)

// keyHolders is how many people sign in with passkeys: few sign in twice within one load, and
// nobody has so many sessions that the oldest gives way.
const keyHolders = 256

// A keyHolder is one of them, with an authenticator in software.
type keyHolder struct {
	name string
	key  *passkeytest.Authenticator
	mu   sync.Mutex
}

func (k *keyHolder) answer(options []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key.Get(options)
}

func (k *keyHolder) person() *testbed.Person {
	p := testbed.NewPerson(k.name, "")
	p.Passkey, p.Address = k.answer, anyAddress()
	return p
}

// passkeyRate measures signing in with a passkey: whole, from the application and back to it,
// and the one request alone that proves it and makes the session.
func passkeyRate(ctx context.Context, o options) (figures []figure, err error) {
	defer oneCore()()
	var users strings.Builder
	for i := range keyHolders {
		fmt.Fprintf(&users, "  - {username: holder%d, email: holder%d@example.com, password: \"correct horse battery\"}\n", i, i)
	}
	file := strings.Replace(bootstrap, "applications:\n", users.String()+"applications:\n", 1)
	h, err := newHouse(1, file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.remove()) }()
	if _, err := h.start(ctx); err != nil {
		return nil, err
	}
	c := h.spread(o)
	holders, err := enrolAll(ctx, c.issuer, c.nodes[0])
	if err != nil {
		return nil, fmt.Errorf("enrol passkeys: %w", err)
	}
	whole, err := c.drive(ctx, o.duration, func(ctx context.Context, _ int) error {
		k := holders[c.next.Add(1)%keyHolders]
		_, err := k.person().Authorize(ctx, c.nodes[0], web)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	alone, err := c.passkeysAlone(ctx, holders)
	if err != nil {
		return nil, fmt.Errorf("the request alone: %w", err)
	}
	return []figure{
		rate("passkey sign-in, from the application and back", whole, "≥ 1000"),
		rate("passkey sign-in, the request that proves it", alone, "≥ 1000"),
	}, nil
}

// passkeysAlone collects filled forms first, and then sends them.
func (c *spread) passkeysAlone(ctx context.Context, holders []*keyHolder) (load, error) {
	type filled struct {
		p    *testbed.Person
		at   string
		form url.Values
	}
	var mu sync.Mutex
	var all []filled
	collect := func(ctx context.Context, _ int) error {
		p := holders[c.next.Add(1)%keyHolders].person()
		at, form, err := p.Challenge(ctx, c.nodes[0], web)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, filled{p, at, form})
		return err
	}
	if _, err := c.drive(ctx, c.o.duration, collect); err != nil {
		return load{}, err
	}
	next := 0
	return c.drive(ctx, c.o.duration, func(ctx context.Context, _ int) error {
		mu.Lock()
		if next == len(all) {
			mu.Unlock()
			return errDone
		}
		one := all[next]
		next++
		mu.Unlock()
		to, err := one.p.Post(ctx, one.at, one.form)
		if err == nil && !strings.Contains(to, "/oauth2/authorize") {
			err = fmt.Errorf("led to %s", to)
		}
		return err
	})
}

var creation = regexp.MustCompile(`data-passkey="create" data-options="([^"]*)"`)

// enrolAll has every holder sign in with the password and add a passkey to their account.
func enrolAll(ctx context.Context, issuer, node string) ([]*keyHolder, error) {
	holders := make([]*keyHolder, keyHolders)
	for i := range holders {
		k := &keyHolder{name: fmt.Sprint("holder", i), key: &passkeytest.Authenticator{Origin: issuer, UV: true, Synced: true}}
		b := testbed.NewBrowser()
		if p, err := b.Reach(ctx, node+"/login", k.name, "correct horse battery"); err != nil || p.Status != http.StatusOK {
			return nil, errors.Join(err, fmt.Errorf("%s cannot sign in", k.name))
		}
		p, err := b.Open(ctx, node+"/account/security/passkeys/new")
		if err != nil {
			return nil, err
		}
		options := creation.FindStringSubmatch(p.Body)
		if options == nil {
			return nil, fmt.Errorf("%s shows no form for a passkey: %.300s", p.URL, p.Body)
		}
		response, err := k.key.Create([]byte(html.UnescapeString(options[1])))
		if err != nil {
			return nil, err
		}
		if p, err = b.Press(ctx, p, "response", map[string][]string{"response": {string(response)}}); err != nil {
			return nil, err
		}
		if p.Status != http.StatusOK {
			return nil, fmt.Errorf("the passkey was not taken: %d", p.Status)
		}
		holders[i] = k
	}
	return holders, nil
}

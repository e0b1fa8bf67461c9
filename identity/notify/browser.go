package notify

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify/letter"
)

// A browser is a kind of browser in a network that a person has signed in from: what is
// there to tell a new one by, where the sign-in itself does not say. Only a hash is kept.
type browser struct {
	Tenant  string    `cbor:"1,keyasint,omitempty"`
	UserID  string    `cbor:"2,keyasint,omitempty"`
	Hash    []byte    `cbor:"3,keyasint,omitempty"`
	Expires time.Time `cbor:"4,keyasint,omitempty"`
}

const (
	rememberBrowser = 180 * 24 * time.Hour
	newAccount      = 24 * time.Hour
)

var browsers = fsm.NewTable(92, "known_browsers", fsm.Spec[browser]{
	Scope:   func(b *browser) fsm.Scope { return fsm.Scope(b.Tenant) },
	Key:     func(b *browser) fsm.Key { return fsm.K(b.UserID, string(b.Hash)) },
	Expires: func(b *browser) time.Time { return b.Expires },
})

func (b *browser) put(tx *fsm.Tx) error {
	b.Expires = tx.Now().Add(rememberBrowser)
	return browsers.Put(tx, b)
}

// lookAtSignIn returns the notice that a sign-in calls for, if it comes from a browser not
// seen before, and the browser to be remembered, if it is not remembered yet. The first sign-in of
// a person into an account that has just been made is nothing new to them; into one that was there, as of
// somebody who was imported or has not come for half a year, it may be somebody else's.
func lookAtSignIn(tx *fsm.Tx, e *event.Event) (*notice, *browser, error) {
	user := userOf(e)
	if user == "" {
		return nil, nil, nil
	}
	b := &browser{Tenant: e.Tenant, UserID: user}
	sum := sha256.Sum256([]byte(user + "\x00" + browserName(e.Request.UserAgent) + "\x00" + e.Request.Network()))
	b.Hash = sum[:12]
	scope := fsm.Scope(e.Tenant)
	if known, err := browsers.Has(tx, scope, fsm.K(user, string(b.Hash))); err != nil || known {
		return nil, nil, err
	}
	for _, err := range browsers.List(tx, scope, fsm.Prefix(fsm.K(user))) {
		if err != nil {
			return nil, nil, err
		}
		return &notice{letter: letter.NewSignIn, user: user}, b, nil // of another browser
	}
	u, _, err := directory.GetUser(tx, e.Tenant, user)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil || e.Time.Sub(u.Created) < newAccount {
		return nil, b, err
	}
	return &notice{letter: letter.NewSignIn, user: user}, b, nil
}

// browserName says in a few words what sends a User-Agent header: "Firefox on Linux". Its
// order matters: all of them claim to be several others.
func browserName(agent string) string {
	agent = identity.Printable(agent, 512)
	find := func(names [][2]string) string {
		for _, n := range names {
			if strings.Contains(agent, n[0]) {
				return n[1]
			}
		}
		return ""
	}
	name := find([][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser", "Samsung Internet"}, {"Firefox", "Firefox"}, {"FxiOS", "Firefox"},
		{"CriOS", "Chrome"}, {"Chrome", "Chrome"}, {"Safari", "Safari"}, {"curl/", "curl"},
	})
	system := find([][2]string{
		{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},
	})
	switch {
	case name != "" && system != "":
		return name + " on " + system
	case name != "":
		return name
	}
	return system
}

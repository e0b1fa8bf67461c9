// Package memory is what a browser remembers of the people who have signed in in it: which
// accounts, how each did so last, and whether they want to be left in peace with passkeys.
//
// It is one sealed cookie of each tenant, and nothing else: no row, no entry in the log. It
// holds IDs and no names; what a page shows of them it reads from the directory.
//
// Invariants: it proves nothing, so whoever is remembered signs in like everybody else; it
// holds a few accounts at most, of one tenant; what cannot be read is nobody.
package memory

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	cookie  = "quis_accounts"
	purpose = "accounts of a browser"

	most      = 5       // accounts; the one that was used longest ago gives way
	maxCookie = 2 << 10 // bytes; five accounts are under 1 KiB
	keySize   = 8       // characters
	lifetime  = 180 * 24 * time.Hour
)

// A Memory reads and writes the cookie. Without a ring it remembers nobody.
type Memory struct{ Ring *seal.Ring }

// An Account is somebody who has signed in in a browser.
type Account struct {
	Key    string           `json:"k"` // names it in this browser
	UserID string           `json:"u"`
	Method assurance.Method `json:"m"`           // by which the last sign-in began
	Quiet  int64            `json:"q,omitempty"` // no passkey is offered until then, in Unix seconds
}

// Accounts returns whom the browser remembers, who has signed in last first.
func (m Memory) Accounts(r *http.Request) []Account {
	text := page.Cookie(r, cookie)
	if m.Ring == nil || text == "" || len(text) > maxCookie {
		return nil
	}
	box, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	plain, err := m.Ring.Open(purpose, box, tenantOf(r))
	if err != nil { // another tenant's, or a key that cannot be looked up: then it is a stranger's browser
		return nil
	}
	var accounts []Account
	if json.Unmarshal(plain, &accounts) != nil || len(accounts) > most {
		return nil
	}
	return accounts
}

// Remember notes that a user has signed in, and how they began.
func (m Memory) Remember(w http.ResponseWriter, r *http.Request, userID string, how assurance.Method) {
	accounts := m.Accounts(r)
	now := Account{Key: rand.Text()[:keySize], UserID: userID}
	if i := at(accounts, userID); i >= 0 {
		now = accounts[i]
		accounts = slices.Delete(accounts, i, i+1)
	}
	now.Method = how
	m.write(w, r, append([]Account{now}, accounts[:min(len(accounts), most-1)]...))
}

// Forget removes the account with that key; one that is not there is forgotten already.
func (m Memory) Forget(w http.ResponseWriter, r *http.Request, key string) {
	accounts := m.Accounts(r)
	m.write(w, r, slices.DeleteFunc(accounts, func(a Account) bool { return a.Key == key }))
}

// Quieten has nobody offer a passkey to the user in this browser until then.
func (m Memory) Quieten(w http.ResponseWriter, r *http.Request, userID string, until time.Time) {
	accounts := m.Accounts(r)
	if i := at(accounts, userID); i >= 0 {
		accounts[i].Quiet = until.Unix()
		m.write(w, r, accounts)
	}
}

// Quiet reports whether the user wants no passkey to be offered in this browser now.
func (m Memory) Quiet(r *http.Request, userID string, now time.Time) bool {
	accounts := m.Accounts(r)
	i := at(accounts, userID)
	return i >= 0 && now.Unix() < accounts[i].Quiet
}

// write keeps accounts. A comfort is no reason for a sign-in to fail: what cannot be sealed
// now stays as it was.
func (m Memory) write(w http.ResponseWriter, r *http.Request, accounts []Account) {
	if m.Ring == nil {
		return
	}
	if len(accounts) == 0 {
		page.SetCookie(w, r, cookie, "", -1)
		return
	}
	plain, err := json.Marshal(accounts)
	if err != nil {
		return
	}
	if box, err := m.Ring.Seal(purpose, plain, tenantOf(r)); err == nil {
		page.SetCookie(w, r, cookie, base64.RawURLEncoding.EncodeToString(box), lifetime)
	}
}

func at(accounts []Account, userID string) int {
	return slices.IndexFunc(accounts, func(a Account) bool { return a.UserID == userID })
}

func tenantOf(r *http.Request) []byte { return []byte(identity.TenantFrom(r.Context()).ID) }

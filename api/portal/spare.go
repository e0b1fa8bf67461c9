package portal

import (
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/spare"
)

// A Stay is why something has to stay, in a person's words. The zero one: it need not.
type Stay struct {
	Why   string
	First *Action // what to add before, under the tenant's paths; nil: nothing that can be added would do
}

var (
	// needed are the keys of why something has to stay, as it is said of one thing among several.
	needed = map[spare.Why]string{spare.OnlyWay: "left.only_way", spare.OnlyFactor: "left.only_factor", spare.Halved: "left.halved"}

	// keeps are those of why a password has to stay: that, of all things, is what others come after.
	keeps = map[spare.Why]string{spare.OnlyWay: "password.only_way", spare.OnlyFactor: "password.only_factor", spare.Halved: "password.halved"}

	// firsts are what to add before: the keys of a sentence and of a button, and where that is done, by
	// the rooms of these things.
	firsts = map[spare.Way]struct{ advice, label, path string }{
		spare.Passkey:  {"first.passkey", "add.passkey", securityPath + "/passkeys/new"},
		spare.Password: {"first.password", "password.add", passwordPath},
		spare.App:      {"first.app", "add.app", securityPath + "/apps/new"},
		spare.Mail:     {"first.mail", "add.mail", EmailPath},
	}
)

// Stays says a verdict in a person's words.
func Stays(r *http.Request, verdict spare.Verdict) Stay { return stays(r, verdict, needed) }

func stays(r *http.Request, verdict spare.Verdict, whys map[spare.Why]string) Stay {
	if verdict.Why == "" {
		return Stay{}
	}
	first, some := firsts[verdict.First]
	switch {
	case verdict.Why == spare.Halved && verdict.First == spare.Passkey:
		first.advice = "first.passkey.or"
	case verdict.Why == spare.Halved:
		first.advice, some = "first.fewer", false
	case !some:
		first.advice = "first.none"
	}
	s := Stay{Why: site.Text(r, "sentences", site.Text(r, whys[verdict.Why]), site.Text(r, first.advice))}
	if some {
		s.First = &Action{Label: site.Text(r, first.label), Path: page.Base(r) + first.path}
	}
	return s
}

// ways are what can be added where r was sent to, the best first.
func ways(r *http.Request) []spare.Way {
	all := []spare.Way{spare.Passkey, spare.Password, spare.App, spare.Mail}
	if _, err := passkey.RPID(identity.TenantFrom(r.Context()).Issuer); err != nil {
		return all[1:]
	}
	return all
}

// Without says why v cannot spare what take takes away. It is asked in the transaction of Update
// that takes it away.
func (v *Visitor) Without(tx *fsm.Tx, r *http.Request, take func(*spare.Left)) (Stay, error) {
	verdict, err := spare.Without(tx, v.Tenant, v.UserID, take, ways(r)...)
	return Stays(r, verdict), err
}

// WithoutCodes is Without for recovery codes.
func (v *Visitor) WithoutCodes(tx *fsm.Tx, r *http.Request) (Stay, error) {
	verdict, err := spare.WithoutCodes(tx, v.Tenant, v.UserID, ways(r)...)
	return Stays(r, verdict), err
}

// kept says why v needs the password.
func kept(tx *fsm.Tx, r *http.Request, v *Visitor) (Stay, error) {
	verdict, err := spare.Without(tx, v.Tenant, v.UserID, func(l *spare.Left) { l.Password = false }, ways(r)...)
	return stays(r, verdict, keeps), err
}

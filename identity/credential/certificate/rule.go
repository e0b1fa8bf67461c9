package certificate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// What of a certificate a rule looks at.
const (
	FromEmail        = "email"         // subject alternative name: addresses (rfc822Name)
	FromUPN          = "upn"           // subject alternative name: user principal names (Microsoft's otherName)
	FromCommonName   = "common_name"   // of the subject
	FromSerialNumber = "serial_number" // of the subject: a number of the person, not of the certificate
	FromUID          = "uid"           // of the subject
	FromAdded        = "added"         // certificates that were added to users: see By
)

// Of users, what has to be the same.
const (
	ToEmail    = "email"    // the address, if it is verified
	ToUsername = "username" // one that is an address only if that is verified
)

// maxRules of one authority.
const maxRules = 10

// A Rule says how what stands in a certificate leads to a user.
type Rule struct {
	From   string `cbor:"1,keyasint,omitempty"` // FromEmail …
	To     string `cbor:"2,keyasint,omitempty"` // ToEmail …; empty with FromAdded
	Domain string `cbor:"3,keyasint,omitempty"` // with email and upn: only names of that domain count; to username, what stands before it
}

// String is the rule in a few characters: upn=username@example.com.
func (r Rule) String() string {
	s := r.From
	if r.To != "" {
		s += "=" + r.To
	}
	if r.Domain != "" {
		s += "@" + r.Domain
	}
	return s
}

// ParseRule is the inverse of String. Whether there is such a rule is for Add to say.
func ParseRule(s string) (Rule, error) {
	var r Rule
	r.From, r.To, _ = strings.Cut(s, "=")
	r.To, r.Domain, _ = strings.Cut(r.To, "@")
	if r.String() != s {
		return Rule{}, errors.New("must be written as from=to, or from=to@domain")
	}
	return r, nil
}

func checkRules(rules []Rule) (faults []error) {
	wrong := func(i int, detail string) {
		faults = append(faults, identity.Invalid(fmt.Sprintf("rules/%d", i), detail))
	}
	if len(rules) > maxRules {
		return []error{identity.Invalid("rules", fmt.Sprintf("must have at most %d entries", maxRules))}
	}
	for i, r := range rules {
		names := r.From == FromEmail || r.From == FromUPN
		switch {
		case !slices.Contains([]string{FromEmail, FromUPN, FromCommonName, FromSerialNumber, FromUID, FromAdded}, r.From):
			wrong(i, "must begin with one of email, upn, common_name, serial_number, uid, added")
		case r.From == FromAdded && r.To != "":
			wrong(i, "must be added alone: whose an added certificate is has been said")
		case r.From != FromAdded && r.To != ToUsername && (!names || r.To != ToEmail):
			wrong(i, "must lead to username or, from email and upn, to email")
		case r.Domain != "" && (!names || !domain(r.Domain)):
			wrong(i, "must have a domain such as example.com behind the @, for email and upn only")
		case slices.Contains(rules[:i], r):
			wrong(i, "appears more than once")
		}
	}
	return faults
}

func domain(s string) bool {
	return len(s) <= 253 && s == strings.ToLower(s) && strings.Contains(s, ".") && !strings.ContainsAny(s, "@ \t\r\n\x00/\\") && identity.Printable(s, 253) == s
}

// Match returns the one user to whom the authority's rules lead from n. All rules are looked
// at, so their order does not matter; nobody, and more than one, is an error: *Refused.
func (a *Authority) Match(tx *fsm.Tx, n *Names) (*directory.User, error) {
	var found *directory.User
	for _, r := range a.Rules {
		users, err := r.find(tx, a, n)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			if found != nil && found.ID != u.ID {
				return nil, refuse(Ambiguous, nil)
			}
			found = u
		}
	}
	if found == nil {
		return nil, refuse(Nobody, nil)
	}
	return found, nil
}

// find returns whom one rule leads to.
func (r Rule) find(tx *fsm.Tx, a *Authority, n *Names) (users []*directory.User, err error) {
	if r.From == FromAdded {
		return added(tx, a, n)
	}
	for _, name := range n.of(r.From) {
		if r.Domain != "" {
			local, ok := within(name, r.Domain)
			if !ok {
				continue
			}
			if r.To == ToUsername {
				name = local
			}
		}
		var u *directory.User
		if r.To == ToEmail {
			u, err = directory.UserByEmail(tx, a.Tenant, name)
		} else {
			u, err = directory.UserByUsername(tx, a.Tenant, name)
		}
		if errors.Is(err, fsm.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Who may choose their own name could otherwise take an address that is somebody else's.
		if address := r.To == ToEmail || strings.Contains(u.Username, "@"); !address || u.EmailVerified {
			users = append(users, u)
		}
	}
	return users, nil
}

// within takes the domain off a name.
func within(name, domain string) (local string, ok bool) {
	at := strings.LastIndexByte(name, '@')
	if at < 1 || !strings.EqualFold(name[at+1:], domain) || strings.Contains(name[:at], "@") {
		return "", false
	}
	return name[:at], true
}

package bootstrap

import (
	"fmt"
	"io"
	"strings"

	"github.com/quis-idp/quis/identity/credential"
)

const (
	minPassword     = 8
	minClientSecret = 32
	tokenPrefix     = credential.TokenPrefix
	minToken        = len(tokenPrefix) + 16
)

// check finds what only the entries together show, and what can be said without a store.
func (c *content) check() []Fault {
	var l faults
	users, groups, clients, tokens := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for _, g := range c.Groups {
		l.once(groups, g.Name, g.Line, "a group of this name")
	}
	for _, u := range c.Users {
		l.once(users, strings.ToLower(u.Username), u.Line, "a user of this username")
		if u.Password != "" && len(u.Password) < minPassword {
			l.add(u.Line, 0, "password has fewer than %d characters", minPassword)
		}
	}
	for _, a := range c.Applications {
		l.once(clients, a.ClientID, a.Line, "an application with this client_id")
		l.application(a)
	}
	for _, t := range c.Tokens {
		l.once(tokens, t.Token.Reveal(), t.Line, "this token")
		switch {
		case !strings.HasPrefix(t.Token.Reveal(), tokenPrefix):
			l.add(t.Line, 0, "token does not begin with %s", tokenPrefix)
		case len(t.Token) < minToken:
			l.add(t.Line, 0, "token has fewer than %d characters; make one with: echo %s$(openssl rand -hex 24)", minToken, tokenPrefix)
		}
	}
	return l
}

func (l *faults) application(a Application) {
	public := a.IsPublic != nil && *a.IsPublic || a.Type != nil && *a.Type == "spa"
	switch {
	case public && a.ClientSecret != "":
		l.add(a.Line, 0, "a public application has no client_secret")
	case !public && a.ClientSecret == "":
		l.add(a.Line, 0, "client_secret is missing; a public application (no secret) is type: spa or is_public: true")
	case !public && len(a.ClientSecret) < minClientSecret:
		l.add(a.Line, 0, "client_secret has fewer than %d characters; make one with: openssl rand -hex 32", minClientSecret)
	}
	if a.Type != nil && *a.Type != "oidc" && *a.Type != "spa" {
		l.add(a.Line, 0, "type must be oidc or spa")
	}
}

// faults collects what is wrong.
type faults []Fault

func (l *faults) add(line, column int, format string, args ...any) {
	*l = append(*l, Fault{line, column, fmt.Sprintf(format, args...)})
}

// once reports a value that has been seen in an earlier line.
func (l *faults) once(seen map[string]int, value string, line int, what string) {
	if before, ok := seen[value]; ok {
		l.add(line, 0, "%s is declared in line %d already", what, before)
		return
	}
	seen[value] = line
}

// readFull fills b as far as r goes.
func readFull(r io.Reader, b []byte) (int, error) {
	n, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

package try

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/quis/line"
)

// A report is what a command of this room prints.
type report struct {
	Issuer string            `json:"issuer"`
	Checks checks            `json:"checks"`
	Tokens map[string]*token `json:"tokens"`
	Scope  string            `json:"scope,omitempty"`
}

// tokens is a successful answer of the token endpoint (RFC 6749, section 5.1).
type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Type    string `json:"token_type"`
	Issued  string `json:"issued_token_type"`
	Scope   string `json:"scope"`
	Expires int    `json:"expires_in"`
}

// examine adds the checks of all tokens of an answer.
func (p *provider) examine(r *report, t *tokens, clientID, nonce string, openid bool, resources []string) {
	r.Scope = t.Scope
	r.Checks.add("token_type", t.Type == "Bearer" || t.Type == "DPoP" || t.Type == "N_A", "%s, for %s", t.Type, time.Duration(t.Expires)*time.Second)
	if access, err := open(t.Access); err != nil {
		r.Checks.add("access token", false, "%v", err)
	} else {
		r.Tokens["access_token"] = access
		p.accessToken(&r.Checks, access, clientID)
		for _, at := range resources {
			r.Checks.add("access token: resource", access.known.For(at), "%s", at)
		}
	}
	switch id, err := open(t.ID); {
	case t.ID == "" && !openid:
	case t.ID == "":
		r.Checks.add("ID token", false, "there is none, although openid was asked for")
	case err != nil:
		r.Checks.add("ID token", false, "%v (an encrypted one can be read by the application alone)", err)
	default:
		r.Tokens["id_token"] = id
		p.idToken(&r.Checks, id, clientID, nonce, t.Access)
	}
	if t.Refresh != "" {
		r.Checks.add("refresh token", true, "there is one")
	}
}

// print shows a report; the error says that a check failed.
func (r *report) print(cmd *cobra.Command) error {
	json, err := line.AsJSON(cmd)
	if err != nil {
		return err
	}
	if json {
		err = line.WriteJSON(cmd.OutOrStdout(), r)
	} else {
		for _, name := range []string{"id_token", "access_token", "token"} {
			if t := r.Tokens[name]; t != nil {
				err = errors.Join(err, t.print(cmd, name))
			}
		}
		err = errors.Join(err, r.Checks.print(cmd))
	}
	if err == nil && r.Checks.failed() {
		return line.Exit{Code: line.Failed, Text: "not everything is as it should be: see the lines with ✗"}
	}
	return err
}

func (c checks) print(cmd *cobra.Command) error {
	return line.Emit(cmd, c, nil, func(row func(...any)) {
		for _, one := range c {
			mark := "✓"
			if !one.OK {
				mark = "✗"
			}
			row(mark, one.Name, one.Detail)
		}
	})
}

// print shows what a token says, and what each claim means.
func (t *token) print(cmd *cobra.Command, name string) error {
	title := map[string]string{"id_token": "ID token", "access_token": "Access token", "token": "Token"}[name]
	fmt.Fprintf(cmd.OutOrStdout(), "%s (%s)\n", title, line.Plain(t.head.Alg))
	err := line.Emit(cmd, t, nil, func(row func(...any)) {
		for _, n := range slices.SortedFunc(maps.Keys(t.Claims), byPlace) {
			row("  "+n, value(n, t.Claims[n]), meaning[n])
		}
	})
	fmt.Fprintln(cmd.OutOrStdout())
	return err
}

package resource

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
)

func tell(tx *fsm.Tx, tenant string, what event.Type, target event.Target, changes []event.Change) error {
	return event.Append(tx, event.Event{Tenant: tenant, Type: what, Target: target, Changes: changes})
}

func (s *Scope) target() event.Target {
	return event.Target{Kind: "scope", ID: s.Name, Name: s.FriendlyName}
}

func (s *Server) target() event.Target {
	return event.Target{Kind: "resource_server", ID: s.ID, Name: s.Name}
}

// fields are what an administrator may change, as the API names it and a person reads it.
func (s *Scope) fields() [][2]string {
	return [][2]string{
		{"friendly_name", s.FriendlyName}, {"texts", s.Texts.spell()}, {"sensitive", strconv.FormatBool(s.Sensitive)},
		{"implied", strconv.FormatBool(s.Implied)}, {"optional", strconv.FormatBool(s.Optional)},
		{"claims", strings.Join(s.Claims, " ")}, {"resource_server_id", s.Resource},
	}
}

func (s *Server) fields() [][2]string {
	return [][2]string{
		{"identifier", s.Identifier}, {"name", s.Name}, {"description", s.Description}, {"token_format", s.TokenFormat},
		{"token_expiry", strconv.FormatInt(s.TokenExpiry, 10)}, {"signing_alg", s.SigningAlg},
		{"skip_consent", strconv.FormatBool(s.SkipConsent)}, {"open_to_all", strconv.FormatBool(s.OpenToAll)},
		{"allowed_applications", strings.Join(s.Allowed, " ")}, {"application_id", s.Application},
		{"authorization_details", spellTypes(s.Details)}, {"disabled", strconv.FormatBool(s.Disabled)},
	}
}

// spellTypes is long where there are many: the record cuts it, the comparison does not.
func spellTypes(types []DetailType) string {
	words := make([]string, len(types))
	for i, d := range types {
		words[i] = d.Name + " [" + d.Texts.spell() + "] " + spellMembers(d.Members)
		if d.Remembered {
			words[i] += " remembered"
		}
	}
	return strings.Join(words, "; ")
}

func spellMembers(members []Member) string {
	words := make([]string, len(members))
	for i, m := range members {
		words[i] = fmt.Sprintf("%s %s %t %d %q %q", m.Name, m.Kind, m.Required, m.Max, m.Label, m.Enum)
		if len(m.Members) > 0 {
			words[i] += " " + spellMembers(m.Members)
		}
	}
	return "{" + strings.Join(words, ", ") + "}"
}

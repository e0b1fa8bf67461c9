package oauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
)

// warningsOf are sentences about what may stand in an application and is probably a
// mistake: names that mean nothing yet, and a name that another has as well.
func warningsOf(tx *fsm.Tx, p *federation.Application) (all []string, err error) {
	for _, m := range p.Claims {
		if m.RequiredScope != "" && !slices.Contains(p.AllowedScopes, m.RequiredScope) {
			all = append(all, fmt.Sprintf("claim_mappings: the claim %s wants the scope %s, which is not among allowed_scopes; nobody will get it.", m.Claim, m.RequiredScope))
		}
	}
	for _, s := range p.AllowedScopes {
		_, _, err := resource.GetScope(tx, p.Tenant, s)
		if errors.Is(err, fsm.ErrNotFound) {
			all = append(all, fmt.Sprintf("allowed_scopes: no scope %s is registered; people who are asked about it read its bare name. Register it with `quis scope create %s`.", s, s))
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	unknown, err := claim.Undefined(tx, p.App(), p.Claims)
	if err != nil {
		return nil, err
	}
	for _, u := range unknown {
		all = append(all, fmt.Sprintf("claim_mappings: ${%s} in the claim %s is no variable and the key of no role of this application; it is empty for everybody.", u.Variable, u.Claim))
	}
	same, _, err := federation.Find(tx, p.Tenant, "", 500, func(o *federation.Application) bool {
		return o.ID != p.ID && strings.EqualFold(o.Name, p.Name)
	})
	if len(same) > 0 {
		all = append(all, fmt.Sprintf("name: another application is called %s as well, %s; people and commands can tell them apart by client_id only.", same[0].Name, same[0].ClientID))
	}
	return all, err
}

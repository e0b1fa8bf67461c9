package authentication

import (
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/policy"
)

func (a *api) policies() []route {
	return []route{{
		Method: "POST", Path: "/policies/evaluate", Op: "evaluatePolicy", Do: handle(a.evaluate),
		Summary: "Say what a sign-in would need, and which rule asks for it. Nothing is made or changed.",
	}}
}

type policyQuestion struct {
	UserID      string        `json:"user_id" required:"true" min:"1" max:"64" doc:"Who would sign in."`
	Application string        `json:"application" max:"64" doc:"ID of the application that it would be for; empty: none."`
	Factors     []givenFactor `json:"factors" max:"20" doc:"What they would have proved."`
	Trusted     bool          `json:"trusted_device" doc:"Whether in a browser that is a trusted device of theirs."`
	ACR         string        `json:"acr" max:"200" enum:"urn:quis:acr:aal1|urn:quis:acr:aal2|urn:quis:acr:aal3|" doc:"Level that the request would ask for. It is left out if they cannot reach it, as at sign-in; its reason then says why."`
	MaxAge      *int64        `json:"max_age" min:"0" max:"34560000" doc:"Seconds since the last proof that the request would allow; absent: any."`
	Skipped     *int64        `json:"skipped" min:"0" max:"1000" doc:"How often they would have put enrolment off; absent: as often as they have."`
}

type givenFactor struct {
	Method   string `json:"method" required:"true" enum:"password|totp|recovery|passkey|mail|certificate|approval" doc:"What was proved."`
	Age      int64  `json:"age_seconds" min:"0" max:"34560000" doc:"How long ago."`
	Verified bool   `json:"user_verified" doc:"Of a passkey: it asked for a PIN or a fingerprint."`
	Bound    bool   `json:"device_bound" doc:"Of a passkey: it cannot leave its device."`
	Attested bool   `json:"attested" doc:"Of a passkey: its maker vouches that hardware protects its key."`
}

type policyDecision struct {
	Outcome  string         `json:"outcome" enum:"allow|step_up|enrol|deny" doc:"What would follow."`
	Methods  []string       `json:"methods" example:"passkey totp" doc:"With step_up, what one of is to be proved; with enrol, what one of is to be enrolled."`
	Level    int64          `json:"level" example:"2" doc:"Assurance level that is asked for, 1 to 3."`
	Optional bool           `json:"optional" doc:"With enrol: whether it may be put off this time."`
	Left     int64          `json:"left" example:"2" doc:"With enrol: how often still; -1: for ever."`
	Why      string         `json:"why,omitempty" doc:"With deny: the reason."`
	Reasons  []policyReason `json:"reasons" doc:"What each rule adds; the strictest holds."`
}

type policyReason struct {
	Rule string `json:"rule" enum:"tenant|group|application|own|acr|max_age|trusted_device|user" doc:"Which rule. own: the person enrolled a second factor."`
	Name string `json:"name" example:"admins" doc:"Of the group."`
	Asks string `json:"asks" example:"any" doc:"What it asks for."`
	Met  bool   `json:"met" doc:"Whether what was proved meets it."`
	Why  string `json:"why,omitempty" doc:"Of a level that cannot be reached: the reason. Nothing then hangs on it."`
}

type evaluateIn struct{ Body policyQuestion }

func (a *api) evaluate(c *call, in *evaluateIn) (*policyDecision, error) {
	q := &in.Body
	var d policy.Decision
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		f, err := authn.Facts(tx, c.Tenant.ID, q.UserID)
		if err != nil {
			return err
		}
		if q.Skipped != nil {
			f.Skipped = int(*q.Skipped)
		}
		need, err := q.need(tx, c.Tenant.ID)
		d = authn.Suppose(f, need, q.proved(f.Now), q.Trusted)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &policyDecision{
		Outcome: string(d.Outcome), Methods: []string{}, Level: int64(d.Level), Optional: d.Optional, Left: int64(d.Left), Why: d.Why, Reasons: []policyReason{},
	}
	for _, m := range d.Methods {
		out.Methods = append(out.Methods, string(m))
	}
	for _, r := range d.Reasons {
		out.Reasons = append(out.Reasons, policyReason(r))
	}
	return out, nil
}

// need is what the request and its application would want.
func (q *policyQuestion) need(tx *fsm.Tx, tenant string) (need authn.Need, err error) {
	if q.ACR != "" {
		need.ACR = []string{q.ACR}
	}
	if q.MaxAge != nil {
		age := time.Duration(*q.MaxAge) * time.Second
		need.MaxAge = &age
	}
	if q.Application == "" {
		return need, nil
	}
	p, _, err := federation.Get(tx, tenant, q.Application)
	if err == nil {
		need.MFA = p.MFAPolicy
	}
	return need, err
}

// proved is what they would have proved by now.
func (q *policyQuestion) proved(now time.Time) (factors []assurance.Factor) {
	for _, g := range q.Factors {
		factors = append(factors, assurance.Factor{
			Method: assurance.Method(g.Method), At: now.Add(-time.Duration(g.Age) * time.Second), Verified: g.Verified, Bound: g.Bound, Attested: g.Attested,
		})
	}
	return factors
}

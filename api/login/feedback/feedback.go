// Package feedback judges a new password while somebody types it, for forms that tell
// meanwhile, and says what a tenant asks of new passwords. Nothing is stored, logged or
// counted as an attempt, and no other machine is asked.
package feedback

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/strength"
)

// perTyping is how often one address may ask about what it types: judging costs up to a
// tenth of a second, and the answer helps nobody who guesses.
var perTyping = limit.Rate{Burst: 40, Every: time.Second}

// rule is that of quis_rate_limited_total: what is typed as a new password, judged too often.
const rule = "password_check"

// A Feedback serves both. It is made by New.
type Feedback struct {
	db      *fsm.DB
	checks  credential.Checks
	refused func(rule string)
	typing  *limit.Limiter
}

// New returns them; checks are those of new passwords, refused counts by rule who is told that
// they ask too often.
func New(db *fsm.DB, checks credential.Checks, refused func(rule string)) *Feedback {
	return &Feedback{db: db, checks: checks, refused: refused, typing: limit.New(perTyping)}
}

// Routes mounts them under the paths within a tenant.
func (b *Feedback) Routes(mux *http.ServeMux) {
	mux.Handle("GET /password/policy", page.Handle(b.policy))
	mux.Handle("POST /password/check", page.Handle(b.check))
}

// check judges password, with username, email and name, as a form would.
func (b *Feedback) check(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	if wait := b.typing.Take(identity.RequestFrom(r.Context()).Network()); wait > 0 {
		b.refused(rule)
		return identity.Limited("", wait)
	}
	who := credential.Person{Tenant: identity.TenantFrom(r.Context()).ID, About: strength.About{
		Username: r.PostForm.Get("username"), Email: r.PostForm.Get("email"), Name: r.PostForm.Get("name"),
	}}
	verdict, err := credential.Examine(r.Context(), b.db, b.checks, who, r.PostForm.Get("password"))
	if err != nil {
		return err
	}
	for i := range verdict.Faults {
		verdict.Faults[i].Text = page.Detail(r, &identity.Error{Detail: verdict.Faults[i].Text})
	}
	return answerJSON(w, verdict)
}

// policy says what the tenant asks of new passwords. The form says it too, and so
// it is no secret; the words that a tenant keeps out are not in it.
func (b *Feedback) policy(w http.ResponseWriter, r *http.Request) error {
	p, err := credential.PolicyNow(r.Context(), b.db, identity.TenantFrom(r.Context()).ID)
	if err != nil {
		return err
	}
	return answerJSON(w, p.Told())
}

func answerJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(v)
}

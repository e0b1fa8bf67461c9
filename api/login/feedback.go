package login

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

// checkPassword judges what somebody types as a new password (password, with username, email
// and name), as a form would, without setting anything. It is for forms that tell meanwhile:
// nothing is stored, logged, counted as an attempt or asked of other machines.
func (l *Login) checkPassword(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	if wait := l.typing.Take(identity.RequestFrom(r.Context()).Network()); wait > 0 {
		l.limited.WithLabelValues(ruleTyping).Inc()
		return identity.Limited("", wait)
	}
	who := credential.Person{Tenant: identity.TenantFrom(r.Context()).ID, About: strength.About{
		Username: r.PostForm.Get("username"), Email: r.PostForm.Get("email"), Name: r.PostForm.Get("name"),
	}}
	verdict, err := credential.Examine(r.Context(), l.cfg.DB, l.cfg.Checks, who, r.PostForm.Get("password"))
	if err != nil {
		return err
	}
	for i := range verdict.Faults {
		verdict.Faults[i].Text = page.Detail(r, &identity.Error{Detail: verdict.Faults[i].Text})
	}
	return answerJSON(w, verdict)
}

// passwordPolicy says what the tenant asks of new passwords. The form says it too, and so
// it is no secret; the words that a tenant keeps out are not in it.
func (l *Login) passwordPolicy(w http.ResponseWriter, r *http.Request) error {
	var p strength.Policy
	err := l.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		p, err = credential.PolicyOf(tx, identity.TenantFrom(r.Context()).ID)
		return err
	})
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

package oidc

import (
	"context"
	"net/http"
)

// tellRefusals has every error page, and every page that denies an application to a
// person, told to told as well, whichever handler shows it.
func (p *Provider) tellRefusals(told func(ctx context.Context, status int, reason, application string)) {
	if told == nil {
		return
	}
	page, denied := p.page, p.denied
	p.page = func(w http.ResponseWriter, r *http.Request, status int, title, detail string) {
		told(r.Context(), status, detail, "")
		page(w, r, status, title, detail)
	}
	if denied == nil {
		return
	}
	p.denied = func(w http.ResponseWriter, r *http.Request, application, back string) {
		told(r.Context(), http.StatusForbidden, "The user may not use the application.", application)
		denied(w, r, application, back)
	}
}

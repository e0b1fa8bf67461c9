package login

import (
	"crypto/x509"
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
)

// certificatePath is where browsers are asked for a certificate: at Config.Certificates, which
// may be another address than that of the other pages. Theirs, it takes the step.
const certificatePath = "/login/certificate"

// certificateLink leads to where the browser is asked for a certificate; "" if it is nowhere.
func (l *Login) certificateLink(r *http.Request, f *authn.Flow) string {
	if l.cfg.Certificates == "" {
		return ""
	}
	return l.cfg.Certificates + page.Base(r) + certificatePath + "?" + url.Values{"flow": {f.Sealed()}}.Encode()
}

// takeCertificate looks at the certificate that has come with the connection, and leads on to the
// form, at the usual address, with what it found in the flow. It signs nobody in: what a link
// leads to must not.
func (l *Login) takeCertificate(w http.ResponseWriter, r *http.Request) error {
	home := identity.TenantFrom(r.Context()).Issuer
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" { // nobody else shows people's certificates around
		return l.noCertificate(w, r, http.StatusForbidden, "certificate.refused", home+"/")
	}
	back := home + "/account/security"
	if !r.URL.Query().Has("for") {
		back = home + "/login?" + url.Values{"flow": {r.URL.Query().Get("flow")}}.Encode()
	}
	presented := identity.CertificatesFrom(r.Context())
	if len(presented) == 0 {
		return l.noCertificate(w, r, http.StatusUnauthorized, "certificate.none", back)
	}
	wait, giveBack := l.admit(r, ruleAddress)
	if wait > 0 {
		w.Header().Set("Retry-After", problem.RetryAfter(wait))
		return l.noCertificate(w, r, http.StatusTooManyRequests, "certificate.busy", back)
	}
	onward, err := l.shown(r, presented)
	if !guessed(err) {
		giveBack()
	}
	if why, ok := errors.AsType[*certificate.Refused](err); ok {
		return l.noCertificate(w, r, http.StatusForbidden, whyNot(why), back)
	}
	if errors.Is(err, authn.ErrDeadFlow) || errors.Is(err, desk.ErrOutdated) {
		return l.noCertificate(w, r, http.StatusGone, "dead.detail", home+"/")
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, home+onward)
}

// shown takes a certificate for the flow of the query, or for who is signed in and wants to add
// it, and returns where to go on.
func (l *Login) shown(r *http.Request, presented []*x509.Certificate) (string, error) {
	if ticket := r.URL.Query().Get("for"); ticket != "" && l.cfg.Desk != nil {
		found, err := l.cfg.Desk.Take(r.Context(), identity.TenantFrom(r.Context()).ID, ticket, presented)
		return "/account/security/certificates/new?" + url.Values{"shown": {found}}.Encode(), err
	}
	f, err := l.cfg.Flows.Show(r.Context(), r.URL.Query().Get("flow"), presented)
	if err != nil {
		return "", err
	}
	return "/login?" + url.Values{"flow": {f.Sealed()}}.Encode(), nil
}

// whyNot is the text for a reason; whoever has a certificate that is good otherwise is not told
// whether it would be somebody's.
func whyNot(why *certificate.Refused) string {
	switch why.Reason {
	case certificate.Expired:
		return "certificate.expired"
	case certificate.Revoked:
		return "certificate.revoked"
	case certificate.Unknown:
		return "certificate.unchecked"
	case certificate.Other:
		return "certificate.other"
	}
	return "certificate.refused"
}

// noCertificate says that no certificate let the person in, and leads back. Its links are whole
// addresses: the page may be at another one than those.
func (l *Login) noCertificate(w http.ResponseWriter, r *http.Request, status int, detail, back string) error {
	title := "certificate.title"
	if detail == "certificate.none" {
		title = "certificate.none.title"
	}
	return messagePage.Write(w, r, status, messageView{
		Title: site.Text(r, title), Detail: site.Text(r, detail), Reference: identity.RequestFrom(r.Context()).ID,
		Link: template.URL(back), Label: site.Text(r, "form.back"),
	})
}

// showCertificate asks to go on with the certificate that the browser has shown. The page does so
// by itself; without JavaScript a button does.
func (l *Login) showCertificate(w http.ResponseWriter, r *http.Request, f *authn.Flow) error {
	return certificatePage.Write(w, r, http.StatusOK, certificateView{
		Purpose: purpose(r, f), Action: page.Base(r) + certificatePath, Flow: f.Sealed(), Title: f.Certificate.Names.Title, Restart: again(r, f),
	})
}

// certificate takes the step with the certificate in the flow.
func (l *Login) certificate(w http.ResponseWriter, r *http.Request) error {
	var why *certificate.Refused
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		done, err := l.cfg.Flows.Certificate(r.Context(), f)
		why, _ = errors.AsType[*certificate.Refused](err)
		return done, err
	}, func(r *http.Request, f *authn.Flow, status int, _ []*identity.Error) error {
		detail := "certificate.refused"
		if why != nil {
			detail = whyNot(why)
		}
		return l.noCertificate(w, r, status, detail, again(r, f))
	})
}

package federation

import (
	"errors"
	"fmt"
	"net/url"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/identity"
)

func (a *Application) validateURIs() error {
	for _, f := range []struct {
		field string
		uris  []string
	}{{"redirect_uris", a.RedirectURIs}, {"post_logout_uris", a.PostLogoutURIs}} {
		if len(f.uris) > maxURIs {
			return identity.Invalid(f.field, fmt.Sprintf("must be at most %d", maxURIs))
		}
		for i, u := range f.uris {
			check := func() error { return checkRedirectURI(f.field, u, a.IsPublic) }
			if IsPattern(u) && f.field == "redirect_uris" {
				check = func() error { return checkPattern(f.field, u) }
			}
			if err := check(); err != nil {
				return err
			}
			if slices.Contains(f.uris[:i], u) {
				return identity.Invalid(f.field, "\""+identity.Printable(u, 120)+"\" is given twice")
			}
		}
	}
	for _, f := range [][2]string{
		{"launch_url", a.LaunchURL}, {"icon_url", a.IconURL}, {"client_uri", a.ClientURI}, {"policy_uri", a.PolicyURI}, {"tos_uri", a.TermsURI},
	} {
		if f[1] == "" {
			continue
		}
		if err := checkRedirectURI(f[0], f[1], false); err != nil {
			return err
		}
	}
	return labels("allowed_origins", a.AllowedOrigins, isOrigin)
}

// isOrigin reports whether s is an origin as browsers write it (RFC 6454, section 6.2).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || checkRedirectURI("", s, false) != nil || s != u.Scheme+"://"+u.Host || s != strings.ToLower(s) {
		return false
	}
	return u.Scheme == "https" && u.Port() != "443" || u.Scheme == "http" && u.Port() != "80"
}

// fetchable refuses a URL that no node could send a request to.
func fetchable(field, raw string) error {
	if raw == "" {
		return nil
	}
	return Unfetchable(field, raw, fetch.CheckURL(raw))
}

// Unfetchable is err, of package fetch, as what is wrong with a field; nil if err is.
func Unfetchable(field, raw string, err error) error {
	if err == nil {
		return nil
	}
	why := "cannot be reached"
	var e *fetch.Error
	if errors.As(err, &e) {
		why = e.Detail
	}
	return identity.Invalid(field, "\""+identity.Printable(raw, 120)+"\": "+why)
}

// Fetched are the URLs that quis may send requests to because the application
// registered them, by field.
func (a *Application) Fetched() [][2]string {
	all := [][2]string{
		{"jwks_uri", a.Auth.JWKSURI}, {"sector_identifier_uri", a.Subject.SectorURI}, {"backchannel_logout_uri", a.Logout.BackchannelURI},
		{"backchannel_client_notification_endpoint", a.CIBA.EndpointURI},
	}
	for _, u := range a.Requests.URIs {
		all = append(all, [2]string{"request_uris", u})
	}
	for i := range a.Issuers {
		all = append(all, [2]string{"trusted_issuers", a.Issuers[i].JWKSURI})
	}
	return slices.DeleteFunc(all, func(f [2]string) bool { return f[1] == "" })
}

func (a *Application) checkLogout() error {
	l := a.Logout
	if err := fetchable("backchannel_logout_uri", l.BackchannelURI); err != nil {
		return err
	}
	if l.BackchannelSession && l.BackchannelURI == "" {
		return identity.Invalid("backchannel_logout_session_required", "needs a backchannel_logout_uri")
	}
	if l.FrontchannelURI == "" {
		if l.FrontchannelSession {
			return identity.Invalid("frontchannel_logout_session_required", "needs a frontchannel_logout_uri")
		}
		return nil
	}
	if err := checkRedirectURI("frontchannel_logout_uri", l.FrontchannelURI, false); err != nil {
		return err
	}
	own := originOf(l.FrontchannelURI)
	if !slices.ContainsFunc(a.RedirectURIs, func(r string) bool { return originOf(r) == own }) {
		return identity.Invalid("frontchannel_logout_uri", "must have the scheme, host and port of a redirect URI")
	}
	return nil
}

// originOf returns scheme, host and port of a redirect URI, those pinned by a pattern included.
func originOf(raw string) string {
	if IsPattern(raw) {
		tree, err := syntax.Parse(strings.TrimPrefix(raw, patternPrefix), syntax.Perl)
		if err != nil {
			return ""
		}
		raw, _ = pinned(tree)
	}
	scheme, rest, _ := strings.Cut(raw, "://")
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	return strings.ToLower(scheme + "://" + host)
}

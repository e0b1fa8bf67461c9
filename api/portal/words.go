package portal

import (
	"errors"
	"net/http"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// Claimed says what a User-Agent header claims to be.
func Claimed(r *http.Request, agent string) string {
	switch browser, system := Agent(agent); {
	case browser != "" && system != "":
		return site.Text(r, "agent.on", browser, system)
	case browser != "":
		return browser
	case system != "":
		return site.Text(r, "agent.system", system)
	}
	return site.Text(r, "agent.unknown")
}

// Place says where an address is, as far as that can be known without asking anybody.
func Place(r *http.Request, ip string) string {
	from := identity.Request{IP: ip}
	switch {
	case ip == "":
		return site.Text(r, "place.unknown")
	case from.Network() == identity.RequestFrom(r.Context()).Network():
		return site.Text(r, "place.here", ip)
	}
	return ip
}

// gone makes what is not there any more nothing to complain about: it is as wanted.
func gone(err error) error {
	if errors.Is(err, fsm.ErrNotFound) {
		return nil
	}
	return err
}

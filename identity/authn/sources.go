package authn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn/throttle"
	"github.com/quis-idp/quis/identity/directory"
)

// sources says where an attempt counts: with a device that the user has signed in
// from before, only there; else with the network it comes from, and with all others.
// Names nobody has count like those of users, or the delay would tell them apart.
// That is why username and address of one user count apart: a delay that passed from
// one to the other would tell that both are somebody's, and the same person's.
//
// Whatever is typed beside a name counts at the name: passwords and codes by mail together, so that a
// name takes no more guesses for having both. Codes of whoever has proved the rest count by themselves.
func (fs *Flows) sources(ctx context.Context, f *Flow, u *directory.User) []throttle.Source {
	login, name := f.Login, ""
	if u != nil {
		if d, ok := fs.deviceOf(f, u.ID); ok {
			return []throttle.Source{{Tenant: f.Need.Tenant, Name: u.ID, From: throttle.Device + d.Nonce}}
		}
		if strings.Contains(login, "@") { // as the directory stores it: one name, one count, however it is spelled
			login = u.Email
		} else {
			login = u.Username
		}
	}
	switch f.Step() {
	case StepSecond:
		name = "second " + f.UserID
	case StepMail:
		name = throttle.Typed + nameOf(login)
		if f.UserID != "" { // only who has proved the rest can guess here, and must not keep the owner waiting for long
			name = throttle.Typed + "mail " + f.UserID
		}
	default:
		name = throttle.Typed + nameOf(login)
	}
	return fs.strange(ctx, f.Need.Tenant, name)
}

// strange says where an attempt counts of whoever is not known: with their network, and with all others.
func (fs *Flows) strange(ctx context.Context, tenant, name string) []throttle.Source {
	return []throttle.Source{
		{Tenant: tenant, Name: name, From: "network " + identity.RequestFrom(ctx).Network()},
		{Tenant: tenant, Name: name, From: throttle.Everywhere, Wave: fs.waves.Stuffed(tenant)},
	}
}

// nameOf is under what a name that was typed is counted.
func nameOf(login string) string {
	sum := sha256.Sum256([]byte(cases.Fold().String(norm.NFKC.String(strings.TrimSpace(login)))))
	return hex.EncodeToString(sum[:16])
}

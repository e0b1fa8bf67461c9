package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys/seal"
)

// Rooms are what a file is applied with.
type Rooms struct {
	DB        *fsm.DB
	Ring      *seal.Ring       // for client secrets
	Passwords *credential.Pool // hashes and verifies
	Checks    credential.Checks
}

// Apply brings about in the default tenant what the file declares. It stops at the first
// thing that cannot be: its error names the line. What came before stays, and so does
// the file: apply it again.
func (f *File) Apply(ctx context.Context, r Rooms) error {
	ctx = identity.WithActor(ctx, identity.Actor{Kind: identity.ActorSystem, ID: "bootstrap"})
	if err := r.DB.Update(ctx, directory.EnsureDefault); err != nil {
		return fmt.Errorf("default tenant: %w", err)
	}
	for _, g := range f.Groups {
		if err := applyGroup(ctx, r, g); err != nil {
			return f.failed(g.Line, "group", g.Name, err)
		}
	}
	for _, u := range f.Users {
		if err := applyUser(ctx, r, u); err != nil {
			return f.failed(u.Line, "user", u.Username, err)
		}
	}
	for _, a := range f.Applications {
		if err := applyApplication(ctx, r, a); err != nil {
			return f.failed(a.Line, "application", a.ClientID, err)
		}
	}
	for _, t := range f.Tokens {
		if err := applyToken(ctx, r, t); err != nil {
			return f.failed(t.Line, "token of", t.User, err)
		}
	}
	return nil
}

func (f *File) failed(line int, kind, name string, err error) error {
	return fmt.Errorf("%s: %s %q: %w", at(f.Name, line, 0), kind, name, err)
}

const tenant = identity.DefaultTenant

// set changes a value if the file says something about it.
func set[T any](to *T, said *T) {
	if said != nil {
		*to = *said
	}
}

func applyGroup(ctx context.Context, r Rooms, g Group) error {
	return r.DB.Update(ctx, func(tx *fsm.Tx) error {
		have, err := directory.GroupByName(tx, tenant, g.Name)
		if errors.Is(err, fsm.ErrNotFound) {
			fresh := directory.Group{Name: g.Name}
			set(&fresh.Description, g.Description)
			_, err = directory.CreateGroup(tx, tenant, fresh)
			return err
		}
		if err != nil {
			return err
		}
		_, err = directory.UpdateGroup(tx, tenant, have.ID, 0, func(to *directory.Group) error {
			set(&to.Description, g.Description)
			return nil
		})
		return err
	})
}

func (u *User) onto(to *directory.User) {
	set(&to.Email, u.Email)
	set(&to.EmailVerified, u.EmailVerified)
	set(&to.Name, u.Name)
	set(&to.GivenName, u.GivenName)
	set(&to.FamilyName, u.FamilyName)
	set(&to.Locale, u.Locale)
	set(&to.Admin, u.Admin)
	set(&to.Disabled, u.Disabled)
}

func applyUser(ctx context.Context, r Rooms, u User) error {
	phc, err := passwordToSet(ctx, r, u)
	if err != nil {
		return err
	}
	return r.DB.Update(ctx, func(tx *fsm.Tx) error {
		id, err := writeUser(tx, u)
		if err != nil {
			return err
		}
		if phc != "" {
			if err := credential.SetPassword(tx, tenant, id, phc); err != nil {
				return err
			}
		}
		for _, name := range u.Groups {
			g, err := directory.GroupByName(tx, tenant, name)
			if errors.Is(err, fsm.ErrNotFound) {
				return fmt.Errorf("%w: declare it under groups", identity.NotFound("There is no group "+fmt.Sprintf("%q.", name)))
			}
			if err != nil {
				return err
			}
			if err := directory.AddMember(tx, tenant, g.ID, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeUser(tx *fsm.Tx, u User) (id string, err error) {
	have, err := directory.UserByUsername(tx, tenant, u.Username)
	if errors.Is(err, fsm.ErrNotFound) {
		fresh := directory.User{Username: u.Username}
		u.onto(&fresh)
		made, err := directory.CreateUser(tx, tenant, fresh)
		if err != nil {
			return "", err
		}
		return made.ID, nil
	}
	if err != nil {
		return "", err
	}
	_, err = directory.UpdateUser(tx, tenant, have.ID, 0, func(to *directory.User) error {
		u.onto(to)
		return nil
	})
	return have.ID, err
}

// passwordToSet hashes the declared password, unless it is the user's already: then it
// returns an empty text. Both are slow and happen outside of any transaction.
func passwordToSet(ctx context.Context, r Rooms, u User) (phc string, err error) {
	if u.Password == "" {
		return "", nil
	}
	var id string
	err = r.DB.Read(ctx, func(tx *fsm.Tx) error {
		have, err := directory.UserByUsername(tx, tenant, u.Username)
		if err == nil {
			id = have.ID
		}
		return err
	})
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return "", err
	}
	if id != "" {
		err := credential.CheckPassword(ctx, r.DB, r.Passwords, tenant, id, u.Password.Reveal())
		if err == nil || !errors.Is(err, identity.ErrUnauthenticated) {
			return "", err
		}
	}
	who := credential.Person{Tenant: tenant, UserID: id, About: strength.About{Username: u.Username}}
	set(&who.About.Email, u.Email)
	set(&who.About.Name, u.Name)
	return credential.Prepare(ctx, r.DB, r.Passwords, r.Checks, who, u.Password.Reveal())
}

func (a *Application) onto(to *federation.Application) {
	to.Name = a.Name
	set(&to.Type, a.Type)
	set(&to.FriendlyName, a.FriendlyName)
	set(&to.Description, a.Description)
	set(&to.IsPublic, a.IsPublic)
	set(&to.RequirePKCE, a.RequirePKCE)
	set(&to.TokenExpiry, a.TokenExpiry)
	set(&to.LaunchURL, a.LaunchURL)
	set(&to.IconURL, a.IconURL)
	set(&to.AppGroup, a.AppGroup)
	set(&to.SigningAlg, a.SigningAlg)
	set(&to.IDTokenOnRefresh, a.IDTokenAgain)
	set(&to.AccessRestricted, a.Restricted)
	set(&to.ShowInDashboard, a.Shown)
	set(&to.Disabled, a.Disabled)
	for _, l := range []struct{ to, said *[]string }{
		{&to.RedirectURIs, &a.RedirectURIs}, {&to.PostLogoutURIs, &a.PostLogoutURIs},
		{&to.AllowedScopes, &a.AllowedScopes}, {&to.GrantTypes, &a.GrantTypes},
	} {
		if *l.said != nil {
			*l.to = slices.Clone(*l.said)
		}
	}
}

func applyApplication(ctx context.Context, r Rooms, a Application) error {
	return r.DB.Update(ctx, func(tx *fsm.Tx) error {
		have, err := federation.ByClientID(tx, tenant, a.ClientID)
		if errors.Is(err, fsm.ErrNotFound) {
			fresh := federation.Application{Tenant: tenant, ClientID: a.ClientID, ShowInDashboard: true}
			a.onto(&fresh)
			_, err = federation.Create(tx, r.Ring, &fresh, a.ClientSecret.Reveal())
			return err
		}
		if err != nil {
			return err
		}
		_, err = federation.Update(tx, tenant, have.ID, 0, func(to *federation.Application) error {
			a.onto(to)
			return nil
		})
		if err != nil || a.ClientSecret == "" {
			return err
		}
		same, err := federation.CheckSecret(r.Ring, have, a.ClientSecret.Reveal())
		if err != nil || same {
			return err
		}
		_, err = federation.SetSecret(tx, r.Ring, tenant, have.ID, a.ClientSecret.Reveal(), false)
		return err
	})
}

func applyToken(ctx context.Context, r Rooms, t Token) error {
	return r.DB.Update(ctx, func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, tenant, strings.TrimSpace(t.User))
		if err != nil {
			return err
		}
		have, err := credential.TokenOwner(tx, t.Token.Reveal())
		switch {
		case err == nil && have.Tenant == tenant && have.UserID == u.ID:
			return nil
		case err == nil:
			return identity.Exists("token", "belongs to another user")
		case !errors.Is(err, fsm.ErrNotFound):
			return err
		}
		name := t.Name
		if name == "" {
			name = "bootstrap"
		}
		_, _, err = credential.CreateToken(tx, tenant, u.ID, name, t.Token.Reveal(), time.Time{})
		return err
	})
}

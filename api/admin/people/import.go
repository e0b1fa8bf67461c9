package people

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/foreign"
	"github.com/quis-idp/quis/identity/directory"
)

func (a *api) imports() []route {
	return []route{{
		Method: "POST", Path: "/users/import", Op: "importUsers", Do: handle(a.importUsers),
		Summary: "Create up to 25 users at a time. What is wrong with one is said in its row and keeps none of the others out.",
	}}
}

type importRequest struct {
	Users        []importedUser `json:"users" required:"true" min:"1" max:"25" doc:"The users."`
	DryRun       bool           `json:"dry_run" doc:"Whether nothing is to be made, only said what would be."`
	SkipExisting bool           `json:"skip_existing" doc:"Whether users whose name or address is taken are passed over rather than refused."`
}

// importedUser is a user as other systems have them. Its fields are not checked by the reader
// of requests, so that one bad row does not refuse the others.
type importedUser struct {
	Username      string          `json:"username" example:"alice" doc:"Name to sign in with; empty: the address."`
	Email         string          `json:"email" doc:"Address."`
	EmailVerified bool            `json:"email_verified" doc:"Whether the address is known to be the user's."`
	Name          string          `json:"name" doc:"Name as it is shown."`
	GivenName     string          `json:"given_name" doc:"First name."`
	FamilyName    string          `json:"family_name" doc:"Last name."`
	Locale        string          `json:"locale" doc:"Language tag (BCP 47)."`
	Admin         bool            `json:"admin" doc:"Whether the user administers the tenant."`
	Disabled      bool            `json:"disabled" doc:"Whether the user is kept from signing in."`
	PasswordHash  identity.Secret `json:"password_hash" max:"2048" doc:"Hash of the password as another system stored it (bcrypt, argon2, pbkdf2, scrypt, sha-crypt, SSHA and others); empty: none yet."`
	Groups        []string        `json:"groups" max:"500" item_max:"200" doc:"Names of groups, which must be there; the users of one request can be put in 100, all told."`
}

type importResult struct {
	Created int64         `json:"created" doc:"How many were, or would be, created."`
	Skipped int64         `json:"skipped" doc:"How many were there already."`
	Refused int64         `json:"refused" doc:"How many were refused."`
	Rows    []importedRow `json:"rows" doc:"What became of each, in the order of the request."`
}

type importedRow struct {
	Outcome string   `json:"outcome" enum:"created|skipped|refused" doc:"What became of it, or would."`
	ID      string   `json:"id,omitempty" doc:"usr_…, of one that was created."`
	Faults  []string `json:"faults,omitempty" doc:"What is wrong with it."`
	Exists  bool     `json:"exists,omitempty" doc:"Of one that was refused: whether there is a user of this name or address, as skip_existing passes over."`
}

// maxJoined is how many memberships one import makes at most: with their events they must fit in a
// transaction.
const maxJoined = 100

type importIn struct{ Body importRequest }

// errDry gives up a transaction that was only to be tried.
var errDry = errors.New("dry run")

func (a *api) importUsers(c *call, in *importIn) (*importResult, error) {
	if slices.ContainsFunc(in.Body.Users, func(u importedUser) bool { return u.PasswordHash != "" }) && !in.Body.DryRun {
		if err := a.cfg.Modern(c.Ctx); err != nil {
			return nil, err
		}
	}
	var out importResult
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		out = importResult{Rows: make([]importedRow, 0, len(in.Body.Users))}
		left := maxJoined
		for i := range in.Body.Users {
			row, err := importOne(tx, c.Tenant.ID, &in.Body.Users[i], in.Body.SkipExisting, left)
			if err != nil {
				return err
			}
			if row.Outcome == "created" {
				left -= len(in.Body.Users[i].Groups)
			}
			out.count(row, in.Body.DryRun)
		}
		if in.Body.DryRun {
			return errDry
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDry) {
		return nil, err
	}
	return &out, nil
}

func (r *importResult) count(row importedRow, dry bool) {
	if dry {
		row.ID = ""
	}
	switch row.Outcome {
	case "created":
		r.Created++
	case "skipped":
		r.Skipped++
	default:
		r.Refused++
	}
	r.Rows = append(r.Rows, row)
}

// importOne creates one user, or says why not. Everything that can be refused is looked at
// before the first write, so that a row that is refused leaves nothing in the transaction. It can be
// put in so many groups as are left.
func importOne(tx *fsm.Tx, tenant string, f *importedUser, skip bool, left int) (importedRow, error) {
	u := directory.User{
		Username: f.Username, Email: f.Email, EmailVerified: f.EmailVerified, Name: f.Name, GivenName: f.GivenName, FamilyName: f.FamilyName,
		Locale: f.Locale, Admin: f.Admin, Disabled: f.Disabled,
	}
	if strings.TrimSpace(u.Username) == "" {
		u.Username = u.Email
	}
	faults := []error{directory.CheckUser(tx, tenant, u)}
	if skip && errors.Is(faults[0], fsm.ErrExists) {
		return importedRow{Outcome: "skipped"}, nil
	}
	groups, missing, err := groupsNamed(tx, tenant, f.Groups)
	if err != nil {
		return importedRow{}, err
	}
	faults = append(faults, missing...)
	if len(f.Groups) > left {
		faults = append(faults, identity.Invalid("groups", fmt.Sprintf("are more than one import can make memberships of: %d, all told", maxJoined)))
	}
	if f.PasswordHash != "" {
		if _, err := foreign.Parse(f.PasswordHash.Reveal()); err != nil {
			faults = append(faults, identity.Invalid("password_hash", "is in no form that can be imported, or would cost more to verify than is allowed"))
		}
	}
	row, err := judge(errors.Join(faults...))
	row.Exists = errors.Is(faults[0], fsm.ErrExists)
	if err != nil || row.Outcome != "created" {
		return row, err
	}
	made, err := directory.CreateUser(tx, tenant, u)
	if err != nil {
		return row, err
	}
	row.ID = made.ID
	for _, g := range groups {
		if err := directory.AddMember(tx, tenant, g, made.ID); err != nil {
			return row, err
		}
	}
	if f.PasswordHash != "" {
		err = credential.ImportPassword(tx, tenant, made.ID, f.PasswordHash.Reveal())
	}
	return row, err
}

// judge tells what is wrong with a row from what is wrong with us.
func judge(err error) (importedRow, error) {
	if err == nil {
		return importedRow{Outcome: "created"}, nil
	}
	row := importedRow{Outcome: "refused"}
	for _, e := range identity.Errors(err) {
		row.Faults = append(row.Faults, strings.TrimSpace(e.Field+" "+e.Detail))
	}
	if len(row.Faults) == 0 || errors.Is(err, fsm.ErrUnavailable) {
		return row, err
	}
	return row, nil
}

// groupsNamed returns the IDs of groups, and a fault for each that is not there.
func groupsNamed(tx *fsm.Tx, tenant string, names []string) (ids []string, faults []error, err error) {
	for _, name := range names {
		g, err := directory.GroupByName(tx, tenant, name)
		if errors.Is(err, fsm.ErrNotFound) {
			faults = append(faults, identity.Invalid("", "groups: there is no group "+identity.Printable(name, 64)))
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		ids = append(ids, g.ID)
	}
	return ids, faults, nil
}

package poll_test

import (
	"cmp"
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// What policy asks of a sign-in to an application is asked of whoever lets it in from elsewhere.
func TestWhoLetsAnApplicationInHasProvedWhatPolicyAsks(t *testing.T) {
	t.Parallel()
	const ten = identity.DefaultTenant
	pwd := func(now time.Time) assurance.Factor { return assurance.Factor{Method: assurance.Password, At: now} }
	for name, c := range map[string]struct {
		app     func(*federation.Application)
		tenant  string        // its policy
		passkey bool          // was proved, too: one that may leave its device
		ago     time.Duration // was the sign-in; zero: three minutes
		want    authn.Standing
		login   bool
	}{
		"nothing is asked":                {want: authn.Enough},
		"the application asks":            {app: func(a *federation.Application) { a.MFAPolicy = federation.MFAAny }, want: authn.Enrol},
		"the application, device-bound":   {app: func(a *federation.Application) { a.MFAPolicy = federation.MFADeviceBound }, want: authn.EnrolBound},
		"device-bound, and theirs is not": {app: func(a *federation.Application) { a.MFAPolicy = federation.MFADeviceBound }, passkey: true, want: authn.EnrolBound},
		"a passkey, and it was used":      {app: func(a *federation.Application) { a.MFAPolicy = federation.MFAPasskey }, passkey: true, want: authn.Enough},
		"the tenant asks":                 {tenant: settings.MFADeviceBound, want: authn.EnrolBound},
		"a sign-in of just now":           {app: func(a *federation.Application) { a.Tokens.DefaultMaxAge = 180 }, want: authn.Enough},
		"one that left time to answer":    {app: func(a *federation.Application) { a.Tokens.DefaultMaxAge = 1 }, ago: 2 * time.Minute, want: authn.Enough},
		"a sign-in that is too old":       {app: func(a *federation.Application) { a.Tokens.DefaultMaxAge = 179 }, want: authn.More, login: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tables []fsm.Definition
			for _, more := range [][]fsm.Definition{event.Tables, directory.Tables, credential.Tables, settings.Tables, passkey.Tables, authn.Tables, federation.Tables} {
				tables = append(tables, more...)
			}
			db := fsmtest.NewCluster(t, 1, tables...).DB[0]
			err := db.Update(t.Context(), func(tx *fsm.Tx) error {
				if err := directory.EnsureDefault(tx); err != nil {
					return err
				}
				d := settings.Default(ten)
				d.MFAGrace, d.MFAPolicy = 0, settings.MFADisabled
				if c.tenant != "" {
					d.MFAPolicy = c.tenant
				}
				if err := settings.Put(tx, 0, d); err != nil {
					return err
				}
				u, err := directory.CreateUser(tx, ten, directory.User{Username: "ada"})
				if err != nil {
					return err
				}
				app := &federation.Application{Tenant: ten, ClientID: "tv", Name: "Television", IsPublic: true, RedirectURIs: []string{"https://tv.example/cb"}}
				if c.app != nil {
					c.app(app)
				}
				if _, err := federation.Create(tx, nil, app, ""); err != nil {
					return err
				}
				at := tx.Now().Add(-cmp.Or(c.ago, 3*time.Minute))
				s := &session.Session{ID: "ses_1", Tenant: ten, UserID: u.ID, AuthTime: at, Factors: []assurance.Factor{pwd(at)}}
				if c.passkey {
					s.Factors = append(s.Factors, assurance.Factor{Method: assurance.Passkey, At: at, Verified: true})
				}
				err = poll.Admit(tx, ten, app.ID, s)
				lacks, _ := errors.AsType[*poll.NotEnough](err)
				switch {
				case c.want == authn.Enough && err != nil, c.want != authn.Enough && lacks == nil:
					t.Errorf("%v", err)
				case lacks != nil && (lacks.Standing != c.want || lacks.Need.Login != c.login || !errors.Is(err, identity.ErrDenied)):
					t.Errorf("standing %v, need %+v: %v", lacks.Standing, lacks.Need, err)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

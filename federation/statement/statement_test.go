package statement_test

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/federation/statement"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

// store is one with a user in a group.
func store(t *testing.T) (*fsm.DB, *directory.User) {
	t.Helper()
	var all []fsm.Definition
	for _, tables := range [][]fsm.Definition{directory.Tables, event.Tables, federation.Tables} {
		all = append(all, tables...)
	}
	db := fsmtest.New(t, all...)
	var u *directory.User
	err := db.Update(t.Context(), func(tx *fsm.Tx) (err error) {
		if err = directory.EnsureDefault(tx); err != nil {
			return err
		}
		if u, err = directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: "ann", Email: "ann@example.com", Name: "Ann"}); err != nil {
			return err
		}
		g, err := directory.CreateGroup(tx, identity.DefaultTenant, directory.Group{Name: "staff"})
		if err != nil {
			return err
		}
		return directory.AddMember(tx, identity.DefaultTenant, g.ID, u.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	return db, u
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	db, u := store(t)
	engine := claim.New(slog.New(slog.DiscardHandler), nil)
	app := &federation.Application{Tenant: identity.DefaultTenant, ID: "app_1", ClientID: "web", AllowedScopes: []string{"openid", "email"}}
	ask := func(q statement.Question) statement.Statement {
		t.Helper()
		q.App = app
		s, err := statement.Answer(t.Context(), db, engine, &q)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	token := []string{claim.InAccessToken}
	if s := ask(statement.Question{In: token}); s.Subject != "web" {
		t.Errorf("the application itself is %q", s.Subject)
	}
	// Nothing is read where nothing is said: not even whether there is such a user.
	if s := ask(statement.Question{UserID: "usr_gone", Scopes: []string{"openid"}, In: token}); s.Subject != "usr_gone" {
		t.Errorf("subject %q", s.Subject)
	}
	s := ask(statement.Question{
		UserID: u.ID, Scopes: []string{"openid"}, In: claim.Destinations,
		Requested: []byte(`{"id_token":{"email":null,"groups":null},"userinfo":{"name":null}}`),
	})
	want := federation.Claims{Email: "ann@example.com"}
	if d := cmp.Diff(want, s.IDToken); d != "" {
		t.Errorf("claims by name that the application may not ask for: %s", d)
	}
	if d := cmp.Diff(federation.Claims{}, s.Userinfo); d != "" {
		t.Error(d)
	}
}

func TestMappedClaimsLieOverStandardOnes(t *testing.T) {
	t.Parallel()
	s := statement.Statement{Mapped: []claim.Claim{
		{Name: "email", Value: json.RawMessage(`"x"`), In: []string{claim.InIDToken}}, {Name: "new", Value: json.RawMessage(`[1]`), In: []string{claim.InIDToken}},
	}}
	base := map[string]string{"email": "a", "sub": "s"}
	got, err := s.Over(base, claim.InIDToken)
	if err != nil || string(got.(json.RawMessage)) != `{"email":"x","new":[1],"sub":"s"}` {
		t.Errorf("%s, %v", got, err)
	}
	if got, err = s.Over(base, claim.InUserinfo); err != nil || cmp.Diff(base, got) != "" {
		t.Errorf("elsewhere: %v, %v", got, err)
	}
}

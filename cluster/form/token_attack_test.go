package form

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/keys/seal"
)

// A thief who has joined by a token may ask again for a while, because answers get lost.
// That ends when the token is revoked, although it was used.
func TestUsedTokenCanBeRevoked(t *testing.T) {
	t.Parallel()
	db := fsmtest.NewCluster(t, 1, Tables...).DB[0]
	a, err := wire.NewAuthority(newClusterID(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	row, err := wrapAuthority(a, seal.GenerateRootKey())
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := CreateToken(t.Context(), db, row, TokenRequest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	use := func(ctx context.Context) error {
		_, err := UseToken(ctx, db, Use{ID: token.ID(), Secret: token.secret[:], Node: "thief", Request: []byte("its own")}, nil)
		return err
	}
	for range 2 {
		if err := use(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := RevokeToken(t.Context(), db, token.ID(), nil); !errors.Is(err, fsm.ErrConflict) || !strings.Contains(err.Error(), "remove that node") {
			t.Errorf("revoke: %v", err)
		}
	}
	var fault *wire.Fault
	if err := use(t.Context()); !errors.As(err, &fault) || !strings.Contains(fault.Detail, "was revoked at") {
		t.Errorf("used once more: %v", err)
	}
	all, err := ListTokens(t.Context(), db)
	if err != nil || len(all) != 1 || all[0].State(time.Now()) != "used" || all[0].RevokedAt.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
}

// Who has read the store, or a backup, knows a token's ID and the hash of its secret, and
// cannot join by that, nor use the token up for others.
func TestHashOfATokenIsNotTheToken(t *testing.T) {
	t.Parallel()
	db := fsmtest.NewCluster(t, 1, Tables...).DB[0]
	a, err := wire.NewAuthority(newClusterID(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	row, err := wrapAuthority(a, seal.GenerateRootKey())
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := CreateToken(t.Context(), db, row, TokenRequest{RootKey: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier := token.verifier()
	for _, secret := range [][]byte{nil, make([]byte, secretSize), verifier[:secretSize], verifier[:]} {
		u := Use{ID: token.ID(), Secret: secret, Node: "thief", Request: []byte("x")}
		var fault *wire.Fault
		if got, err := UseToken(t.Context(), db, u, nil); got || !errors.As(err, &fault) || fault.Code != CodeRefused {
			t.Errorf("used with %x: %v", secret, err)
		}
		if err := CheckToken(t.Context(), db, u); !errors.As(err, &fault) {
			t.Errorf("passed with %x: %v", secret, err)
		}
	}
	if got, err := UseToken(t.Context(), db, Use{ID: token.ID(), Secret: token.secret[:], Node: "n2", Request: []byte("x")}, nil); !got || err != nil {
		t.Errorf("used up by those who could not: %v", err)
	}
}

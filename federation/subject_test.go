package federation_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// subjects registers applications with these redirect URIs and returns what each calls the user.
func (h *house) subjects(t *testing.T, user string, apps ...federation.Application) (names []string) {
	t.Helper()
	for _, a := range apps {
		made, _, err := h.create(a, secret)
		if err != nil {
			t.Fatal(err)
		}
		err = h.db.View(t.Context(), func(tx *fsm.Tx) error {
			stored, _, err := federation.Get(tx, tenant, made.ID)
			if err != nil {
				return err
			}
			name, err := federation.SubjectOf(tx, stored, user)
			names = append(names, name)
			if ok, err := federation.IsSubject(tx, stored, name, user); !ok || err != nil {
				t.Errorf("%s is not recognised as the user: %v", name, err)
			}
			if ok, err := federation.IsSubject(tx, stored, name, user+"x"); ok || err != nil {
				t.Errorf("%s is taken for another user: %v", name, err)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func pairwise(clientID string, uris ...string) federation.Application {
	return federation.Application{ClientID: clientID, RedirectURIs: uris, Subject: federation.SubjectPolicy{Type: federation.SubjectPairwise}}
}

// TestPairwiseSubjectDiffersBetweenSectorsAndHidesTheUser: also between users, and not within a sector.
func TestPairwiseSubjectDiffersBetweenSectorsAndHidesTheUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	byURI := pairwise("d", "https://d.example/cb", "https://e.example/cb")
	byURI.Subject.SectorURI = "https://a.example/sector.json"
	names := h.subjects(t, "usr_ann", pairwise("a", "https://a.example/cb"), pairwise("b", "https://A.example/other"),
		pairwise("c", "https://c.example/cb"), byURI, federation.Application{ClientID: "p", RedirectURIs: []string{callback}},
		pairwise("l1", "http://localhost:1/cb"), pairwise("l2", "http://localhost:1/cb"))
	if names[0] != names[1] || names[0] != names[3] {
		t.Errorf("one sector, several names: %q", names)
	}
	if names[0] == names[2] || names[5] == names[6] {
		t.Errorf("several sectors, one name: %q", names)
	}
	if names[4] != "usr_ann" {
		t.Errorf("a public subject is %q", names[4])
	}
	for _, n := range []string{names[0], names[2], names[5]} {
		if len(n) != 43 || strings.Contains(n, "ann") {
			t.Errorf("pairwise subject %q", n)
		}
	}
	if other := h.subjects(t, "usr_bob", pairwise("a2", "https://a.example/cb")); other[0] == names[0] {
		t.Error("two users have one name")
	}
}

func TestPairwiseNeedsOneSector(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, uris := range [][]string{{"https://a.example/cb", "https://b.example/cb"}, {"https://a.example/cb", "http://localhost/cb"}} {
		if _, _, err := h.create(pairwise("x", uris...), secret); !errors.Is(err, identity.ErrInvalid) || !strings.Contains(err.Error(), "sector_identifier_uri") {
			t.Errorf("%v: %v", uris, err)
		}
	}
	bad := pairwise("y", callback)
	bad.Subject.Type = "secret"
	if _, _, err := h.create(bad, secret); !errors.Is(err, identity.ErrInvalid) {
		t.Error(err)
	}
}

// TestSectorFollowsTheRedirectURIs: who could keep the sector of a host that he no longer
// has, or never had, would learn what others call the user.
func TestSectorFollowsTheRedirectURIs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, _, err := h.create(pairwise("a", "https://victim.example/cb"), secret)
	if err != nil {
		t.Fatal(err)
	}
	err = h.db.Update(t.Context(), func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant, a.ID, 0, func(a *federation.Application) error {
			a.RedirectURIs = []string{"https://evil.example/cb"}
			return nil
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.db.View(t.Context(), func(tx *fsm.Tx) error {
		if a, _, err = federation.Get(tx, tenant, a.ID); err != nil || a.Subject.Sector != "evil.example" {
			t.Errorf("sector %q, %v", a.Subject.Sector, err)
		}
		return nil
	})
}

// TestPairwiseSubjectSurvivesRestoreAndKeyRotation: a backup that has the application calls
// everybody as before, though nobody had signed in when it was made.
func TestPairwiseSubjectSurvivesRestoreAndKeyRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, _, err := h.create(pairwise("a", "https://a.example/cb"), secret)
	if err != nil {
		t.Fatal(err)
	}
	var backup, adopted bytes.Buffer
	s, err := h.db.OpenStream()
	if err == nil {
		_, err = s.WriteTo(&backup)
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	name := func(db *fsm.DB) (name string) {
		err := db.View(t.Context(), func(tx *fsm.Tx) error {
			stored, _, err := federation.Get(tx, tenant, a.ID)
			if err != nil {
				return err
			}
			name, err = federation.SubjectOf(tx, stored, "usr_ann")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	before := name(h.db)
	if err := h.ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := name(h.db); now != before {
		t.Errorf("after a rotation of sealing keys: %s, was %s", now, before)
	}
	other := newHouse(t)
	if _, err := other.db.Adopt(&adopted, &backup); err != nil {
		t.Fatal(err)
	}
	if err := other.db.Restore(&adopted); err != nil {
		t.Fatal(err)
	}
	if now := name(other.db); now != before {
		t.Errorf("after a restore: %s, was %s", now, before)
	}
}

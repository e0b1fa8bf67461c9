package portal_test

import (
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

func TestApps(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	s.Get("/apps").Want(t, 200, "nothing to open here yet")
	add := func(a federation.Application) *federation.Application {
		a.Tenant, a.RedirectURIs, a.IsPublic = identity.DefaultTenant, []string{"https://app.example.com/cb"}, true
		h.Update(func(tx *fsm.Tx) error {
			a.ID, a.ClientID = "", ""
			_, err := federation.Create(tx, nil, &a, "")
			return err
		})
		return &a
	}
	shown := federation.Application{ShowInDashboard: true, LaunchURL: "https://app.example.com/start?a=b&c=d"}
	with := func(name, group, text string) federation.Application {
		a := shown
		a.Name, a.AppGroup, a.Description = name, group, text
		return a
	}
	add(with("Wiki <of> all", "Knowledge", "Where things are written down"))
	add(with("Chat", "", ""))
	hidden, restricted, elsewhere := with("Hidden", "", ""), with("Vault", "Knowledge", ""), with("Nowhere", "", "")
	hidden.ShowInDashboard, restricted.AccessRestricted, elsewhere.LaunchURL = false, true, ""
	add(hidden)
	add(elsewhere)
	vault := add(restricted)
	a := s.Get("/apps").Want(t, 200, "Wiki &lt;of&gt; all", "Chat", `href="https://app.example.com/start?a=b&amp;c=d"`, ">WO<", "Where things are written down", "<h2>Knowledge</h2>")
	if strings.Contains(a.Page, "Hidden") || strings.Contains(a.Page, "Vault") || strings.Contains(a.Page, "Nowhere") || strings.Contains(a.Page, "<img") {
		t.Errorf("too much is shown: %s", a.Page)
	}
	a = s.Get("/apps?q=WRITTEN+wiki").Want(t, 200, "Wiki", `value="WRITTEN wiki"`, "Show all")
	if strings.Contains(a.Page, "Chat") {
		t.Error("what is not searched for is found")
	}
	s.Get("/apps?q=%3Cb%3E").Want(t, 200, "None of your applications fits", "&lt;b&gt;")
	h.Update(func(tx *fsm.Tx) error {
		g, err := directory.CreateGroup(tx, identity.DefaultTenant, directory.Group{Name: "keepers"})
		if err != nil {
			return err
		}
		if err := directory.AddMember(tx, identity.DefaultTenant, g.ID, h.Users["ada"]); err != nil {
			return err
		}
		return federation.GrantAccess(tx, federation.AccessRule{Tenant: identity.DefaultTenant, Application: vault.ID, Kind: federation.AccessGroup, Target: g.ID})
	})
	s.Get("/apps").Want(t, 200, "Vault")
	h.enter("grace").Get("/apps").Want(t, 200, "Chat")
	if a := h.enter("grace").Get("/apps"); strings.Contains(a.Page, "Vault") {
		t.Error("Grace sees what is kept from her")
	}
}

package browser

import (
	"context"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/login/feedback"
	"github.com/quis-idp/quis/api/login/memory"
	ownpasskeys "github.com/quis-idp/quis/api/portal/passkey"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
)

const comfortSecret = portaltest.Password

// A comfortHouse is sign-in and a person's own pages on one store whose clock can be set: what
// hours do to a page is seen in a moment.
type comfortHouse struct {
	*portaltest.House
	sent *atomic.Pointer[authn.Letter] // the latest letter
}

// newComfortHouse is one with ada and grace, who have the same password.
func newComfortHouse(t *testing.T) comfortHouse {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	h := comfortHouse{portaltest.New(t, federation.Tables...), new(atomic.Pointer[authn.Letter])}
	h.SignIn(authn.Config{SendMail: func(_ context.Context, letter authn.Letter) { h.sent.Store(&letter) }})
	for username, name := range map[string]string{"ada": "Ada Lovelace", "grace": "Grace Hopper"} {
		h.Person(directory.User{Username: username, Name: name, Email: username + "@example.com"}, true)
	}
	remembers := memory.Memory{Ring: h.Ring}
	own := ownpasskeys.New(ownpasskeys.Config{DB: h.DB, Ring: h.Ring, Memory: remembers, Modern: func(context.Context) error { return nil }})
	s, public := httptest.NewUnstartedServer(nil), "http://localhost:"+port // passkeys want a name
	s.Listener.Close()
	s.Listener = l
	h.OpenAs(s, api.Config{PublicURL: public, Rooms: []api.Room{h.Login(login.Config{Memory: remembers, Offer: own.Offer}), h.Portal(own), feedback.New(h.DB, credential.Checks{}, func(string) {})}})
	h.URL = public
	return h
}

// begin makes a flow as a protocol does, and returns where it sends the browser.
func (h comfortHouse) begin(need authn.Need) string {
	h.T.Helper()
	need.Tenant = identity.DefaultTenant
	flow, err := h.Flows.Begin(h.T.Context(), need)
	if err != nil {
		h.T.Fatal(err)
	}
	return h.URL + "/login?flow=" + flow
}

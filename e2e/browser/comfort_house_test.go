package browser

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

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
	sent *atomic.Pointer[authn.Letter] // the latest letter that nobody has read
}

// newComfortHouse is one of one node with ada and grace, who have the same password.
func newComfortHouse(t *testing.T) comfortHouse { return newComfortHouseOver(t, 1) }

// newComfortHouseOver is newComfortHouse of several nodes, which get the requests one after the other.
func newComfortHouseOver(t *testing.T, nodes int) comfortHouse {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	public, all := "http://localhost:"+port, portaltest.NewOver(t, nodes, federation.Tables...) // passkeys want a name
	first := comfortHouse{all[0], new(atomic.Pointer[authn.Letter])}
	for username, name := range map[string]string{"ada": "Ada Lovelace", "grace": "Grace Hopper"} {
		first.Person(directory.User{Username: username, Name: name, Email: username + "@example.com"}, true)
	}
	var doors []*url.URL
	for _, h := range all {
		h.SignIn(authn.Config{SendMail: func(_ context.Context, letter authn.Letter) { first.sent.Store(&letter) }})
		remembers := memory.Memory{Ring: h.Ring}
		own := ownpasskeys.New(ownpasskeys.Config{DB: h.DB, Ring: h.Ring, Memory: remembers, Modern: func(context.Context) error { return nil }})
		h.OpenAs(httptest.NewUnstartedServer(nil), api.Config{PublicURL: public, Rooms: []api.Room{
			h.Login(login.Config{Memory: remembers, Offer: own.Offer}), h.Portal(own), feedback.New(h.DB, credential.Checks{}, func(string) {}),
		}})
		door, err := url.Parse(h.URL)
		if err != nil {
			t.Fatal(err)
		}
		doors = append(doors, door)
	}
	first.URL = public
	var asked atomic.Uint64
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(doors[asked.Add(1)%uint64(nodes)])
		r.Out.Host = r.In.Host
	}}}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return first
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

// code is the one of the next letter, which may be under way still when a page says that it comes.
func (h comfortHouse) code(b *browser) string {
	h.T.Helper()
	for {
		if letter := h.sent.Swap(nil); letter != nil {
			return letter.Code
		}
		if b.ctx.Err() != nil {
			h.T.Fatal("no letter comes")
		}
		b.wait()
	}
}

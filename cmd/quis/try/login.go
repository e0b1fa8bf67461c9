package try

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

const (
	signInTime = 5 * time.Minute // that a person has
	callback   = "/quis-test"
)

// Command is `quis test`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "test",
		Short:   "Use quis as an application would, and check every answer",
		Example: "  quis test login --app wiki --register\n  quis test client-credentials --app robot --secret-file robot.secret",
	}
	line.Group(c)
	login := loginCommand("login", "Sign in through a browser and check the tokens")
	login.Args = line.None
	login.Example = "  quis test login --app wiki\n  quis test login --app wiki --register --no-browser"
	c.AddCommand(login, clientCredentialsCommand(), deviceCommand(), exchangeCommand())
	return c
}

// AppTest is `quis app test APP`: the same as `quis test login --app APP`.
func AppTest() *cobra.Command {
	c := loginCommand("test APP", "Sign in to an application through a browser and check the tokens")
	c.Args = line.Exactly("the client_id, name or ID of an application")
	c.Example = "  quis app test wiki --register\n  quis app test wiki --secret-file wiki.secret"
	c.Flags().Lookup("app").Hidden = true
	return c
}

func loginCommand(use, short string) *cobra.Command {
	var register, still bool
	var scopes []string
	c := appFlags(&cobra.Command{
		Use:   use,
		Short: short,
		Long: "Listens on loopback, opens a browser, receives the code, exchanges it with PKCE, and shows the decoded tokens with\n" +
			"every check that an application must make. The application needs a redirect URI on loopback; with --register one\n" +
			"is added for as long as the test takes.",
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := line.AsJSON(cmd); err != nil {
			return err
		}
		name := flag(cmd, "app")
		if len(args) == 1 {
			name = args[0]
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), signInTime)
		defer cancel()
		return signIn(ctx, cmd, name, &attempt{scopes: scopes, resources: resources(cmd), register: register, still: still})
	}
	c.Flags().BoolVar(&register, "register", false, "add a redirect URI on loopback to the application for as long as the test takes")
	c.Flags().BoolVar(&still, "no-browser", false, "only print the URL")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "scopes to ask for (default: openid and what else of profile, email, groups it may)")
	return resourceFlag(c)
}

// An attempt is one sign-in.
type attempt struct {
	scopes, resources []string
	register, still   bool

	redirect               string
	state, nonce, verifier string
	back                   chan url.Values // how the browser came back
}

func signIn(ctx context.Context, cmd *cobra.Command, name string, a *attempt) error {
	issuer, err := issuerOf(cmd)
	if err != nil {
		return err
	}
	n, application, who, err := actAs(ctx, cmd, name)
	if err != nil {
		return err
	}
	if !slices.Contains(application.GrantTypes, "authorization_code") {
		return line.Usage(cmd, "%s signs nobody in by a browser: its grant_types are %s; `quis test --help` shows the tests of the others", application.ClientID, strings.Join(application.GrantTypes, ", "))
	}
	p, err := discover(ctx, issuer)
	if err != nil {
		return err
	}
	if len(a.scopes) == 0 {
		a.scopes = usualScopes(application)
	}
	a.state, a.nonce, a.verifier, a.back = rand.Text(), rand.Text(), rand.Text()+rand.Text(), make(chan url.Values, 1)
	leave, err := a.listen(ctx, cmd, n, application)
	if err != nil {
		return err
	}
	defer leave()
	at := p.Authorize + "?" + a.request(who.id).Encode()
	if a.still || !browse(ctx, at) {
		fmt.Fprintf(cmd.ErrOrStderr(), "Open this in a browser on this machine:\n\n  %s\n\n", at)
	} else {
		fmt.Fprintln(cmd.ErrOrStderr(), "A browser was opened; sign in there. If none appeared, open\n\n  "+at+"\n")
	}
	var back url.Values
	select {
	case back = <-a.back:
	case <-ctx.Done():
		return fmt.Errorf("nobody came back within %s", signInTime)
	}
	return a.finish(ctx, cmd, p, who, back)
}

// usualScopes are those of a sign-in that the application may ask for.
func usualScopes(a *client.Application) []string {
	scopes := []string{"openid"}
	for _, s := range []string{"profile", "email", "groups"} {
		if slices.Contains(a.AllowedScopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

func (a *attempt) request(clientID string) url.Values {
	sum := sha256.Sum256([]byte(a.verifier))
	return url.Values{
		"resource":  a.resources,
		"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {a.redirect}, "scope": {strings.Join(a.scopes, " ")},
		"state": {a.state}, "nonce": {a.nonce}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
}

// finish checks how the browser came back, trades the code and shows everything.
func (a *attempt) finish(ctx context.Context, cmd *cobra.Command, p *provider, who *credentials, back url.Values) error {
	r := &report{Issuer: p.Issuer, Tokens: map[string]*token{}}
	r.Checks.add("state", back.Get("state") == a.state, "the one that was sent")
	r.Checks.add("iss of the answer", back.Get("iss") == p.Issuer, "%s (RFC 9207)", back.Get("iss"))
	if code := back.Get("error"); code != "" {
		r.Checks.add("authorization", false, "%v", &refusal{code, back.Get("error_description")})
		return r.print(cmd)
	}
	if r.Checks.failed() {
		return r.print(cmd) // such a code is nobody's to use
	}
	var got tokens
	err := p.post(ctx, p.Token, who, url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Get("code")}, "redirect_uri": {a.redirect}, "code_verifier": {a.verifier},
	}, &got)
	if !r.Checks.add("code exchange with PKCE", err == nil, "%s", failure(err)) {
		return r.print(cmd)
	}
	p.examine(r, &got, who.id, a.nonce, slices.Contains(a.scopes, "openid"), a.resources)
	return r.print(cmd)
}

func failure(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}

// listen finds a redirect URI on loopback and serves it. leave takes back what was registered.
func (a *attempt) listen(ctx context.Context, cmd *cobra.Command, n *client.Client, app *client.Application) (leave func(), err error) {
	l, uri, taken := a.registered(app)
	back := func() {}
	if l == nil {
		switch {
		case a.register:
		case taken != nil:
			return nil, line.Exit{Code: line.Conflict, Text: fmt.Sprintf("cannot listen where %s expects its people back: %v; end what listens there, or take --register, which adds another redirect URI for as long as the test takes", app.ClientID, taken)}
		default:
			return nil, line.Usage(cmd, "%s has no redirect URI on loopback; --register adds one for as long as the test takes", app.ClientID)
		}
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
		uri = "http://" + l.Addr().String() + callback
		if back, err = lend(ctx, cmd, n, app, uri); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	a.redirect = uri
	u, err := url.Parse(uri)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: a.receiver(u.Path), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(l) }() // ends with Shutdown
	return func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(last) // what is left is a browser that keeps its connection
		back()
	}, nil
}

// registered looks for a loopback URI of the application whose port is free; taken is why
// there is none among those that it has.
func (a *attempt) registered(app *client.Application) (l net.Listener, uri string, taken error) {
	for _, uri := range app.RedirectURIs {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" {
			continue
		}
		host := u.Hostname()
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			continue
		}
		public := app.IsPublic != nil && *app.IsPublic
		port := u.Port()
		if port == "" || public && host != "localhost" {
			port = "0" // any will do (RFC 8252, section 7.3)
		}
		if port == "0" && !public {
			port = "80"
		}
		listenOn := host
		if host == "localhost" {
			listenOn = "127.0.0.1"
		}
		l, err := net.Listen("tcp", net.JoinHostPort(listenOn, port))
		if err != nil {
			taken = err
			continue
		}
		if port == "0" {
			_, port, _ = net.SplitHostPort(l.Addr().String())
			u.Host = net.JoinHostPort(host, port)
			uri = u.String()
		}
		return l, uri, nil
	}
	return nil, "", taken
}

// lend adds a redirect URI to the application; back takes it away again.
func lend(ctx context.Context, cmd *cobra.Command, n *client.Client, app *client.Application, uri string) (back func(), err error) {
	_, err = n.Applications.Update(ctx, app.ID, client.ApplicationFields{RedirectURIs: append(slices.Clone(app.RedirectURIs), uri)}, app.ETag)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", uri, err)
	}
	return func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		now, err := n.Applications.Get(last, app.ID)
		if err == nil {
			left := slices.DeleteFunc(slices.Clone(now.RedirectURIs), func(u string) bool { return u == uri })
			_, err = n.Applications.Update(last, app.ID, client.ApplicationFields{More: map[string]any{"redirect_uris": append([]string{}, left...)}}, now.ETag)
		}
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "The redirect URI of the test is still registered: %v\n  %s\n", err, line.Next(cmd, "app set "+app.ClientID+" redirect_uris-="+uri))
		}
	}, nil
}

// receiver takes the browser's coming back, once.
func (a *attempt) receiver(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		if r.URL.Path != path || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		q := r.URL.Query()
		if q.Get("state") != a.state { // somebody else's: the one that is waited for may still come
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintln(w, "This is not the answer that quis test waits for.")
			return
		}
		select {
		case a.back <- q:
			fmt.Fprintln(w, "Done. Go back to the terminal; this window can be closed.")
		default:
			w.WriteHeader(http.StatusConflict)
		}
	})
}

// browse opens a browser, if there is one to open.
func browse(ctx context.Context, at string) bool {
	name, args := "xdg-open", []string{at}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", at}
	}
	if _, err := exec.LookPath(name); err != nil {
		return false
	}
	return exec.CommandContext(context.WithoutCancel(ctx), name, args...).Start() == nil
}

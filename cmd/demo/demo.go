package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	cookieName  = "quis_demo"
	sessionLife = 8 * time.Hour
	maxSessions = 10_000 // beyond that the oldest are forgotten
	scopes      = "openid profile email groups offline_access"
)

// Above is how far the application's port is above that of its issuer.
const Above = 10

// URL is where `quis dev` with that issuer, http://localhost:PORT, serves the application; ""
// if the issuer is none of a `quis dev`.
func URL(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return ""
	}
	u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(port+Above))
	return u.String()
}

// Config says who the application is.
type Config struct {
	Issuer   string // of the provider, without a slash at the end
	ClientID string // public client, code + PKCE
	URL      string // where this application is served; its redirect URI is URL + /callback
	Logger   *slog.Logger
	HTTP     *http.Client // for tests; default: one with a timeout of 10 s
}

type app struct {
	Config
	provider provider

	mu       sync.Mutex // guards sessions
	sessions map[string]*session
}

// A session is one browser at this application, signed in or not.
type session struct {
	mu      sync.Mutex // guards the rest; held during calls to the provider, one at a time
	created time.Time

	state, nonce, verifier string // of the sign-in under way

	tokens   *tokens
	userinfo string // as last answered
	notice   string // shown once
	problem  string // shown once
	refresh  int    // how often the tokens were refreshed
}

// New returns the application.
func New(c Config) http.Handler {
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	a := &app{Config: c, sessions: map[string]*session{}}
	a.provider = provider{issuer: c.Issuer, http: c.HTTP}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /signin", a.signIn)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("POST /refresh", a.act(a.refresh))
	mux.HandleFunc("POST /userinfo", a.act(a.userinfo))
	mux.HandleFunc("POST /signout", a.signOut)
	mux.HandleFunc("GET /demo.css", serveStyle)
	return headers(http.NewCrossOriginProtection().Handler(mux))
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// The sign-out form leaves for the provider, so form-action names more than
		// 'self': browsers apply it to the redirect that follows.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self' http://localhost:*; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// find returns the browser's session, or a new one with its cookie set.
func (a *app) find(w http.ResponseWriter, r *http.Request) *session {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, err := r.Cookie(cookieName); err == nil {
		if s := a.sessions[c.Value]; s != nil && time.Since(s.created) < sessionLife {
			return s
		}
	}
	for len(a.sessions) >= maxSessions {
		oldest := ""
		for id, s := range a.sessions {
			if oldest == "" || s.created.Before(a.sessions[oldest].created) {
				oldest = id
			}
		}
		delete(a.sessions, oldest)
	}
	s, id := &session{created: time.Now()}, rand.Text()
	a.sessions[id] = s
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return s
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	s := a.find(w, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	a.render(w, s)
	s.notice, s.problem = "", ""
}

// signIn sends the browser to the provider (RFC 6749 §4.1.1, RFC 7636 §4.3).
func (a *app) signIn(w http.ResponseWriter, r *http.Request) {
	s := a.find(w, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	meta, err := a.provider.discover(r.Context())
	if err != nil {
		a.back(w, r, s, err)
		return
	}
	s.state, s.nonce, s.verifier = rand.Text(), rand.Text(), rand.Text()+rand.Text()
	challenge := sha256.Sum256([]byte(s.verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {a.ClientID}, "redirect_uri": {a.URL + "/callback"},
		"scope": {scopes}, "state": {s.state}, "nonce": {s.nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	if prompt := r.URL.Query().Get("prompt"); prompt == "login" || prompt == "none" {
		q.Set("prompt", prompt)
	}
	http.Redirect(w, r, meta.Authorize+"?"+q.Encode(), http.StatusSeeOther)
}

// callback takes the provider's answer and redeems the code.
func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	s := a.find(w, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	state, nonce, verifier := s.state, s.nonce, s.verifier
	s.state, s.nonce, s.verifier = "", "", ""
	switch {
	case state == "" || q.Get("state") != state:
		a.back(w, r, s, errors.New("the answer does not belong to a sign-in begun in this browser (state): begin again"))
		return
	case q.Get("iss") != a.Issuer:
		a.back(w, r, s, fmt.Errorf("the answer comes from %q, not from %q (iss)", q.Get("iss"), a.Issuer))
		return
	case q.Get("error") != "":
		a.back(w, r, s, fmt.Errorf("the provider answered %s: %s", q.Get("error"), q.Get("error_description")))
		return
	}
	t, err := a.provider.token(r.Context(), url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "client_id": {a.ClientID},
		"redirect_uri": {a.URL + "/callback"}, "code_verifier": {verifier},
	})
	if err == nil {
		err = a.provider.checkIDToken(r.Context(), t.IDToken, a.ClientID, nonce, time.Now())
	}
	if err == nil {
		s.tokens, s.userinfo, s.refresh, s.notice = t, "", 0, "Signed in. The ID token's signature, issuer, audience, nonce and times are right."
	}
	a.back(w, r, s, err)
}

// act wraps what a button does: with tokens at hand, then back to the page.
func (a *app) act(do func(r *http.Request, s *session) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := a.find(w, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.tokens == nil {
			a.back(w, r, s, errors.New("sign in first"))
			return
		}
		a.back(w, r, s, do(r, s))
	}
}

func (a *app) refresh(r *http.Request, s *session) error {
	if s.tokens.Refresh == "" {
		return errors.New("the provider gave no refresh token")
	}
	t, err := a.provider.token(r.Context(), url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {s.tokens.Refresh}, "client_id": {a.ClientID},
	})
	if err != nil {
		return err
	}
	if t.IDToken == "" {
		t.IDToken = s.tokens.IDToken
	}
	s.tokens = t
	s.refresh++
	s.notice = fmt.Sprintf("Refreshed: new tokens, number %d.", s.refresh)
	return nil
}

func (a *app) userinfo(r *http.Request, s *session) error {
	text, err := a.provider.userinfo(r.Context(), s.tokens.Access)
	if err != nil {
		return err
	}
	s.userinfo, s.notice = text, "Userinfo answered."
	return nil
}

// signOut forgets the tokens here and ends the session at the provider
// (OpenID Connect RP-Initiated Logout 1.0 §2).
func (a *app) signOut(w http.ResponseWriter, r *http.Request) {
	s := a.find(w, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	q := url.Values{"client_id": {a.ClientID}, "post_logout_redirect_uri": {a.URL + "/"}}
	if s.tokens != nil {
		q.Set("id_token_hint", s.tokens.IDToken)
	}
	s.tokens, s.userinfo, s.refresh = nil, "", 0
	meta, err := a.provider.discover(r.Context())
	if err != nil || meta.EndSession == "" {
		a.back(w, r, s, err)
		return
	}
	s.notice = "Signed out."
	http.Redirect(w, r, meta.EndSession+"?"+q.Encode(), http.StatusSeeOther)
}

// back returns to the page; err, if any, is what it shows.
func (a *app) back(w http.ResponseWriter, r *http.Request, s *session, err error) {
	if err != nil {
		s.problem = err.Error()
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

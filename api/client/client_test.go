package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
)

// server answers every request with h and gives a client of it.
func server(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := client.New(s.URL+"/base/", "quis_pat_hunter2", client.WithTenant("acme"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"", "localhost:8080", "ftp://x", "http://", "https://user:hunter2@x", "unix://", "http://h\x7funter2"} {
		if c, err := client.New(addr, ""); err == nil {
			t.Errorf("%q: accepted as %v", addr, c)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error shows a password: %v", addr, err)
		}
	}
	for _, addr := range []string{"http://localhost:8080", "https://id.example.com/", "unix:///run/quis.sock"} {
		if _, err := client.New(addr, ""); err != nil {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var got *http.Request
	c := server(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("ETag", `"7"`)
		fmt.Fprint(w, `{"id":"usr_1","more":"than we know"}`)
	})
	name := "x"
	u, err := c.Users.Update(t.Context(), "../a b", client.UserFields{Name: &name}, `"6"`)
	if err != nil || u.ID != "usr_1" || u.ETag != `"7"` {
		t.Fatalf("got %+v, %v", u, err)
	}
	if p := got.URL.EscapedPath(); p != "/base/api/v1/users/..%2Fa%20b" || got.URL.RawQuery != "tenant=acme" || got.Method != http.MethodPatch {
		t.Errorf("got %s %s?%s", got.Method, p, got.URL.RawQuery)
	}
	if got.Header.Get("Authorization") != "Bearer quis_pat_hunter2" || got.Header.Get("If-Match") != `"6"` || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %v", got.Header)
	}
	if _, err := c.Status(t.Context()); err != nil || got.URL.RawQuery != "" {
		t.Errorf("the installation has no tenant: %q, %v", got.URL.RawQuery, err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"problem", `{"title":"Not found","status":404,"detail":"There is no such user.","instance":"req_1"}`, 404, "Not found: There is no such user. (request req_1)"},
		{"a sentence", `{"title":"The request is not valid","errors":[{"pointer":"#/password","detail":"Use at least 15 characters."}]}`, 400, "The request is not valid: password: Use at least 15 characters."},
		{"fields", `{"title":"The request is not valid","errors":[{"pointer":"#/name","detail":"is required"},{"pointer":"#/a","detail":"is odd"}]}`, 400, "The request is not valid: name is required; a is odd"},
		{"proxy", `<html>bad gateway</html>`, 502, "HTTP 502 Bad Gateway"},
		{"nothing", ``, 503, "HTTP 503 Service Unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := server(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			})
			_, err := c.Users.Get(t.Context(), "x")
			e, ok := errors.AsType[*client.Error](err)
			if !ok || e.Status != tt.status || client.Status(err) != tt.status || e.Error() != tt.want || e.RetryAfter != 2*time.Second {
				t.Errorf("got %+v %q, want %q", e, err, tt.want)
			}
		})
	}
	if client.Status(errors.New("x")) != 0 {
		t.Error("no answer has no status")
	}
}

// A redirect must not carry the token to another place, and is an error.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
	t.Cleanup(elsewhere.Close)
	c := server(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	if _, err := c.Users.Get(t.Context(), "x"); client.Status(err) != http.StatusFound {
		t.Errorf("got %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	c, err := client.New("unix:///nowhere/quis.sock", "quis_pat_hunter2")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Status(t.Context())
	if !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestAllStopsAtAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	n := 0
	list := func(_ context.Context, l client.List) (*client.Page[int], error) {
		if n++; n == 3 {
			return nil, broken
		}
		if want := ""; n == 2 {
			if want = "c1"; l.After != want {
				t.Errorf("asked after %q, want %q", l.After, want)
			}
		}
		return &client.Page[int]{Data: []int{n}, HasMore: true, Next: fmt.Sprint("c", n)}, nil
	}
	var got []int
	var last error
	for v, err := range client.All(t.Context(), client.List{}, list) {
		if last = err; err == nil {
			got = append(got, v)
		}
	}
	if len(got) != 2 || !errors.Is(last, broken) {
		t.Errorf("got %v, %v", got, last)
	}
}

func ExampleNew() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":[{"username":"ada"},{"username":"bob"}],"has_more":false}`)
	}))
	defer s.Close()
	c, err := client.New(s.URL, "quis_pat_…")
	if err != nil {
		fmt.Println(err)
		return
	}
	for u, err := range client.All(context.Background(), client.List{}, c.Users.List) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(u.Username)
	}
	// Output:
	// ada
	// bob
}

package user

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quis-idp/quis/cmd/quis/line"
)

// Where the server keeps somebody's last way to sign in, the command says what to do, and is forced only
// when told so.
func TestLastWay(t *testing.T) {
	forced := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{"data": [{"id": "usr_1", "username": "alice"}]}`))
		case r.URL.Query().Get("force") == "true":
			forced = r.URL.Path
			w.WriteHeader(http.StatusNoContent)
		default:
			w.WriteHeader(http.StatusConflict)
		}
	}))
	defer s.Close()
	t.Setenv("QUIS_TOKEN", "quis_pat_0123456789abcdef0123")
	run := func(args ...string) error {
		c := resetFactorCommand()
		c.Flags().StringP("output", "o", "table", "")
		c.SetArgs(append(args, "--yes", "--addr", s.URL))
		c.SetOut(&bytes.Buffer{})
		c.SetErr(&bytes.Buffer{})
		return c.ExecuteContext(t.Context())
	}
	for _, what := range []string{"--all", "pky_1"} {
		var exit line.Exit
		if err := run("alice", what); !errors.As(err, &exit) || exit.Code != line.Conflict || forced != "" ||
			!strings.Contains(exit.Text, "alice would have nothing left to sign in with. `"+line.Program()+" user recover link alice --addr "+s.URL+"`") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := run("alice", "--all", "--force"); err != nil || forced != "/api/v1/users/usr_1/factors" {
		t.Errorf("forced %q: %v", forced, err)
	}
}

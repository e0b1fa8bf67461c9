package daemon

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A client that keeps its connection must be told that the node goes, and get its answer.
func TestNodeThatStopsLetsConnectionsGo(t *testing.T) {
	t.Parallel()
	n := &Node{}
	srv := httptest.NewServer(n.leaving(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "answer") })))
	defer srv.Close()
	for _, draining := range []bool{false, true} {
		n.draining.Store(draining)
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "answer" {
			t.Errorf("answered %q, %v", body, err)
		}
		if resp.Close != draining {
			t.Errorf("stopping is %v, and the connection closes: %v", draining, resp.Close)
		}
	}
}

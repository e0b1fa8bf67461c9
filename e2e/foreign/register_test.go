package foreign

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// A registered is an application as the admin API shows it when it is made.
type registered struct {
	ID           string `json:"id"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// register adds an application as an administrator does, again while it is told to wait:
// right after the start of the cluster, until every node has said what it knows.
func register(t *testing.T, application map[string]any) (made registered) {
	t.Helper()
	var status int
	var body []byte
	eventually(t, "applications can be registered", func() bool {
		status, body = administer(t, http.MethodPost, dev.Issuer()+"/api/v1/applications", application)
		return status != http.StatusServiceUnavailable
	})
	if status != http.StatusCreated {
		t.Fatalf("register %v: status %d: %s", application["name"], status, body)
	}
	if err := json.Unmarshal(body, &made); err != nil {
		t.Fatal(err)
	}
	return made
}

// administer sends a request to the admin API.
func administer(t *testing.T, method, url string, body any) (status int, answer []byte) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+adminKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

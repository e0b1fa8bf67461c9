package foreign

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/quis-idp/quis/e2e/testbed"
)

// mcpServer is a small MCP endpoint with one tool, for those who bring an access token
// that was made for it (RFC 9728, RFC 9068).
func mcpServer(t *testing.T) string {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), dev.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	base := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	resource := base + "/mcp"
	tokens := provider.Verifier(&oidc.Config{ClientID: resource})
	mux.HandleFunc("GET /.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, r *http.Request) {
		write(t, w, map[string]any{"resource": resource, "authorization_servers": []string{dev.Issuer()}, "scopes_supported": []string{"openid"}})
	})
	mux.HandleFunc("GET /mcp", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) })
	mux.HandleFunc("POST /mcp", func(w http.ResponseWriter, r *http.Request) {
		raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		token, err := tokens.Verify(r.Context(), raw)
		if err != nil {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer resource_metadata="%s/.well-known/oauth-protected-resource/mcp"`, base))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answerMCP(t, w, r, token)
	})
	return resource
}

// answerMCP speaks as much of the protocol as its client needs.
func answerMCP(t *testing.T, w http.ResponseWriter, r *http.Request, token *oidc.IDToken) {
	var call struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params struct {
			Version string `json:"protocolVersion"`
		} `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		t.Errorf("MCP request: %v", err)
	}
	var result map[string]any
	switch call.Method {
	case "initialize":
		result = map[string]any{"protocolVersion": call.Params.Version, "capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": map[string]any{"name": "test", "version": "1"}}
	case "tools/call":
		result = map[string]any{"content": []any{map[string]any{"type": "text", "text": token.Subject + " for " + strings.Join(token.Audience, " ")}}}
	default: // a notification
		w.WriteHeader(http.StatusAccepted)
		return
	}
	write(t, w, map[string]any{"jsonrpc": "2.0", "id": call.ID, "result": result})
}

func write(t *testing.T, w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}

// TestMCPClient: from the endpoint alone the SDK finds the authorization server, registers
// or names its metadata document, and signs the person in for that very resource.
func TestMCPClient(t *testing.T) {
	t.Parallel()
	resource := mcpServer(t)
	manage(t, http.MethodPost, "/resource-servers", map[string]any{"identifier": resource, "name": "MCP", "open_to_all": true})
	manage(t, http.MethodPut, "/registration/policy", map[string]any{"mode": "open", "metadata_documents": true})
	for way, document := range map[string]string{"registration": "", "metadata document": clientDocument(t)} {
		s := start(t, "mcp.mjs", map[string]any{"endpoint": resource, "redirect_uri": callback, "metadata_url": document})
		asked := s.hear("authorize")
		if document != "" && asked["client_id"] != document {
			t.Errorf("%s: the client calls itself %v", way, asked["client_id"])
		}
		p := answers(t, testbed.NewBrowser("http://localhost:9999/"), asked["url"].(string))
		s.tell(map[string]any{"url": p.URL.String()})
		done := s.hear("done")
		if text, _ := done["text"].(string); !strings.HasPrefix(text, "usr_") || !strings.HasSuffix(text, " for "+resource) {
			t.Errorf("%s: the tool says %q", way, done["text"])
		}
	}
}

// clientDocument serves a Client ID Metadata Document and returns its address, which is
// the client_id.
func clientDocument(t *testing.T) string {
	t.Helper()
	address := ""
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		write(t, w, map[string]any{
			"client_id": address, "client_name": "MCP client", "redirect_uris": []string{callback}, "token_endpoint_auth_method": "none",
			"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "scope": "openid",
		})
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{localhost}}
	server.StartTLS()
	t.Cleanup(server.Close)
	address = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/client.json"
	return address
}

// manage sends a request to the admin API, which must do it.
func manage(t *testing.T, method, path string, body map[string]any) {
	t.Helper()
	var status int
	var answer []byte
	eventually(t, method+" "+path, func() bool {
		status, answer = administer(t, method, dev.Issuer()+"/api/v1"+path, body)
		return status != http.StatusServiceUnavailable
	})
	if status >= 300 {
		t.Fatalf("%s %s: status %d: %s", method, path, status, answer)
	}
}

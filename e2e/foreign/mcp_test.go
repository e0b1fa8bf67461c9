package foreign

import (
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
	provider, err := oidc.NewProvider(t.Context(), testbed.Issuer)
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
		write(t, w, map[string]any{"resource": resource, "authorization_servers": []string{testbed.Issuer}, "scopes_supported": []string{"openid"}})
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

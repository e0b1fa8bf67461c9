package try

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestTokenCannotWriteToTheTerminal: what a stranger wrote into a token neither moves the
// cursor nor passes for a check of ours.
func TestTokenCannotWriteToTheTerminal(t *testing.T) {
	t.Parallel()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	parsed, err := open(part(map[string]string{"alg": "ES256\x1b[31m", "typ": "JWT"}) + "." + part(map[string]any{
		"iss": "https://x\x1b]0;title\a", "sub": "a\n✓  signature  ES256", "aud": []string{"\u202e\u009b2J"}, "e\x1b[5m": "v\tw",
	}) + ".AAAA")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.Flags().String("output", "table", "")
	cmd.SetOut(&out)
	r := &report{Tokens: map[string]*token{"token": parsed}}
	r.Checks.add("iss", true, "%s", parsed.known.Issuer)
	if err := r.print(cmd); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.ContainsAny(text, "\x1b\a\t\u009b\u202e") || strings.Contains(text, "\n✓  signature") {
		t.Errorf("%q", text)
	}
}

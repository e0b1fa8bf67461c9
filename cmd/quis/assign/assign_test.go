package assign

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
)

var fields = map[string]client.Field{
	"name":          {Type: "string"},
	"type":          {Type: "string", Enum: []string{"oidc", "spa"}},
	"is_public":     {Type: "boolean"},
	"token_expiry":  {Type: "integer"},
	"redirect_uris": {Type: "array"},
	"grant_types":   {Type: "array"},
	"jwks":          {Type: "object"},

	"passkey.allow_aaguids": {Type: "array"},
	"password.min_length":   {Type: "integer"},
}

var short = map[string]map[string]string{"grant_types": {
	"device_code": "urn:ietf:params:oauth:grant-type:device_code", "ciba": "urn:openid:params:grant-type:ciba",
}}

func TestAssignments(t *testing.T) {
	t.Parallel()
	now := map[string]any{"redirect_uris": []any{"a", "b"}, "grant_types": []any{"authorization_code"}, "passkey": map[string]any{"allow_aaguids": []any{"a"}}}
	tests := []struct {
		arg  string
		want any
		err  string // end of the message
	}{
		{"name=x=y", "x=y", ""},
		{"is_public=yes", true, ""},
		{"token_expiry=60", int64(60), ""},
		{"redirect_uris=c, d", []any{"c", "d"}, ""},
		{"redirect_uris+=c,a", []any{"a", "b", "c"}, ""},
		{"redirect_uris-=a", []any{"b"}, ""},
		{"redirect_uris=", []any{}, ""},
		{"grant_types+=device_code", []any{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}, ""},
		{"grant_types=ciba,refresh_token", []any{"urn:openid:params:grant-type:ciba", "refresh_token"}, ""},
		{"password.min_length=12", map[string]any{"min_length": int64(12)}, ""},
		{"passkey.allow_aaguids+=b", map[string]any{"allow_aaguids": []any{"a", "b"}}, ""},
		{"jwks={}", map[string]any{}, ""},
		{"redirect_uri=c", nil, `there is no field "redirect_uri"; did you mean "redirect_uris"?`},
		{"colour=red", nil, "there is no field \"colour\"; `quis app set --fields` shows those that there are"},
		{"type=sap", nil, `type: "sap" is none of oidc, spa; did you mean "spa"?`},
		{"token_expiry=1h", nil, `token_expiry: "1h" is no whole number`},
		{"name+=x", nil, "name is no list: name+= does not fit it"},
		{"name", nil, `"name" is no assignment: write field=value, or field+=value and field-=value for lists`},
	}
	for _, tt := range tests {
		got, err := (Form{Fields: fields, Help: "quis app set --fields", Short: short}).Read(&cobra.Command{Use: "set"}, []string{tt.arg}, now)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err+" (see `set --help`)" {
				t.Errorf("%s: got %v, want %s", tt.arg, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.arg, err)
		}
		for _, v := range got {
			if d := cmp.Diff(tt.want, v); d != "" {
				t.Errorf("%s: %s", tt.arg, d)
			}
		}
	}
}

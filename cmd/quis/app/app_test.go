package app

import (
	"testing"

	"github.com/quis-idp/quis/api/client"
)

func TestNextStep(t *testing.T) {
	t.Parallel()
	public := true
	tests := []struct {
		app  client.ApplicationFields
		file string
		want string
	}{
		{client.ApplicationFields{GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"https://a.example/cb"}}, "s", "app test c --secret-file s --register"},
		{client.ApplicationFields{GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"http://localhost:1/cb"}}, "s", "app test c --secret-file s"},
		{client.ApplicationFields{GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"http://[::1]:1/cb"}, IsPublic: &public}, "s", "app test c"},
		{client.ApplicationFields{GrantTypes: []string{"client_credentials"}}, "s", "test client-credentials --app c --secret-file s"},
		{client.ApplicationFields{GrantTypes: []string{"refresh_token", urns["device_code"]}, IsPublic: &public}, "", "test device --app c"},
		{client.ApplicationFields{GrantTypes: []string{urns["jwt-bearer"]}}, "", ""},
	}
	for _, tt := range tests {
		if got := nextStep(&client.Application{ClientID: "c", ApplicationFields: tt.app}, tt.file); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

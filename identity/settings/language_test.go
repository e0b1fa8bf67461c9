package settings_test

import (
	"testing"

	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/settings"
)

func TestSpeak(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		open     []string
		standard string
		own      string
		want     language.Tag
	}{
		{nil, "", "", "en"},
		{nil, "", "pl", "pl"},
		{nil, "", "pt-BR", "pt"},
		{nil, "de", "", "de"},
		{nil, "de", "nl", "de"},
		{nil, "de", "fr", "fr"},
		{[]string{"de", "fr"}, "", "fr-CH", "fr"},
		{[]string{"de", "fr"}, "fr", "pl", "fr"},
		{[]string{"de", "fr"}, "", "pl", "de"},
		{[]string{"de-AT"}, "", "en", "de"},
		{[]string{"nl"}, "", "pl", "pl"}, // none of ours: as if nothing were said
	} {
		a := settings.Authentication{Languages: c.open, DefaultLanguage: c.standard}
		if got := a.Speak(c.own); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

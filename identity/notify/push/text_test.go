package push

import (
	"testing"

	"github.com/quis-idp/quis/identity/language"
)

func TestTranslations(t *testing.T) {
	t.Parallel()
	for _, fault := range texts.Faults() {
		t.Error(fault)
	}
	for _, tag := range language.All {
		for _, news := range []News{SignIn, Recovery} {
			if m, err := message(tag, news); err != nil || len(m) >= padded {
				t.Errorf("%s of %s: %d bytes, %v", tag, news, len(m), err)
			}
		}
	}
}

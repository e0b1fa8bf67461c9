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
		if m, err := message(tag); err != nil || len(m) >= padded {
			t.Errorf("%s: %d bytes, %v", tag, len(m), err)
		}
	}
}

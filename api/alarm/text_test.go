package alarm

import (
	"testing"

	"github.com/quis-idp/quis/api/page/pagetest"
)

func TestTextsAreTranslated(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}

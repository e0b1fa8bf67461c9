package page

import (
	"embed"
	"io/fs"
	"net/http"
	"regexp"
	"strconv"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/language"
)

//go:embed details
var detailFiles embed.FS

// details are what the rules of other rooms say to people, as those rooms write it, with
// %d for numbers; and what pages show for it.
var details = func() *language.Catalogue {
	files, err := fs.Sub(detailFiles, "details")
	if err != nil {
		panic(err)
	}
	return language.New(detailTexts, files)
}()

var number = regexp.MustCompile(`[0-9]+`)

// Detail says what e has to say to a person, in the language of r where it is known in it.
func Detail(r *http.Request, e *identity.Error) string {
	return detail(r, e.Detail)
}

func detail(r *http.Request, text string) string {
	if details.Has(text) {
		s, err := details.Text(Language(r), text)
		if err != nil {
			return text
		}
		return s
	}
	var args []any
	key := number.ReplaceAllStringFunc(text, func(digits string) string {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return digits
		}
		args = append(args, n)
		return "%d"
	})
	if s, err := details.Text(Language(r), key, args...); err == nil {
		return s
	}
	return text
}

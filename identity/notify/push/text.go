package push

import (
	"embed"
	"encoding/json"

	"github.com/quis-idp/quis/identity/language"
)

//go:embed texts
var files embed.FS

var texts = language.New(map[string]string{
	"title": "Somebody signs in as you",
	"body":  "Open to answer. Approve it only if you began it yourself, just now.",
}, files)

// message is what a browser shows, in t.
func message(t language.Tag) ([]byte, error) {
	var m struct {
		Title string `json:"title"`
		Body  string `json:"body"`
	}
	var err error
	if m.Title, err = texts.Text(t, "title"); err != nil {
		return nil, err
	}
	if m.Body, err = texts.Text(t, "body"); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

package letter

import (
	"embed"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
)

//go:embed letter.html letter.txt
var files embed.FS

var (
	textTemplate = texttemplate.Must(texttemplate.ParseFS(files, "letter.txt"))
	htmlTemplate = htmltemplate.Must(htmltemplate.ParseFS(files, "letter.html"))
)

func (v *view) text() (string, error) {
	var b strings.Builder
	err := textTemplate.Execute(&b, v)
	return b.String(), err
}

func (v *view) html() (string, error) {
	var b strings.Builder
	err := htmlTemplate.Execute(&b, v)
	return b.String(), err
}

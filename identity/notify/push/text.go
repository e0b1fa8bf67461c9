package push

import (
	"embed"
	"encoding/json"

	"github.com/quis-idp/quis/identity/language"
)

//go:embed texts
var files embed.FS

var texts = language.New(map[string]string{
	"approval.title": "Somebody signs in as you",
	"approval.body":  "Open to answer. Approve it only if you began it yourself, just now.",
	"recovery.title": "Somebody is getting back into your account",
	"recovery.body":  "If it is not you, open this page and stop it.",
	"password.title": "Somebody is about to set another password for your account",
	"password.body":  "If it is not you, somebody else reads your mail. Secure your mailbox, and tell your administrator.",
}, files)

// message is what a browser shows of news, in t; the page's worker knows where it leads.
func message(t language.Tag, news News) ([]byte, error) {
	m := struct {
		News  News   `json:"news"`
		Title string `json:"title"`
		Body  string `json:"body"`
	}{News: news}
	var err error
	if m.Title, err = texts.Text(t, string(news)+".title"); err != nil {
		return nil, err
	}
	if m.Body, err = texts.Text(t, string(news)+".body"); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

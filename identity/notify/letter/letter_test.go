package letter_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/notify/letter"
)

// TestEveryLetter: each has its words in every language, tells nothing in its subject and
// refers to nothing outside.
func TestEveryLetter(t *testing.T) {
	t.Parallel()
	outside := regexp.MustCompile(`(?i)<(img|link|script|iframe|object|form|base)|url\(|@import|src=|background=`)
	for lang := range letter.Catalogue {
		for _, n := range letter.Names() {
			d := letter.Sample(n)
			l, err := letter.Render(n, lang, d)
			if err != nil {
				t.Fatal(err)
			}
			if l.Language != lang || l.Subject == "" || strings.Contains(l.Subject+l.Text, "{") {
				t.Errorf("%s %s: %q\n%s", lang, n, l.Subject, l.Text)
			}
			if m := outside.FindString(l.HTML); m != "" {
				t.Errorf("%s %s: the HTML has %s", lang, n, m)
			}
			if strings.Contains(l.Subject, d.Code) || strings.Contains(l.Subject, d.What) && d.What != "" || strings.Contains(l.Subject, d.Person) {
				t.Errorf("%s %s: the subject tells too much: %s", lang, n, l.Subject)
			}
			if strings.Contains(l.Text, "\n\n\n") || strings.Contains(l.HTML, `;"></p>`) || strings.Contains(l.HTML, "></a>") {
				t.Errorf("%s %s lacks a text:\n%s", lang, n, l.Text)
			}
		}
	}
	if _, err := letter.Render("nonsense", "en", letter.Data{}); err == nil {
		t.Error("a letter that there is not")
	}
}

// TestEveryWordIsTranslated: all languages have the same texts with the same places.
func TestEveryWordIsTranslated(t *testing.T) {
	t.Parallel()
	place := regexp.MustCompile(`\{[a-z]+\}`)
	places := func(s string) []string {
		all := place.FindAllString(s, -1)
		slices.Sort(all)
		return slices.Compact(all)
	}
	english := letter.Catalogue["en"]
	for _, tag := range language.All {
		texts := letter.Catalogue[string(tag)]
		for key, text := range english {
			translated, ok := texts[key]
			if !ok || !slices.Equal(places(text), places(translated)) {
				t.Errorf("%s: %s: %q", tag, key, translated)
			}
		}
		for key := range texts {
			if _, ok := english[key]; !ok {
				t.Errorf("%s: nothing says %s", tag, key)
			}
		}
	}
}

// A code to sign in with, or to get back in, is of use in one browser only, and so is its link: both letters say so.
func TestCodesAreForOneBrowser(t *testing.T) {
	t.Parallel()
	browsers := map[string]string{
		"en": "browser", "de": "Browser", "es": "navegador", "fr": "navigateur", "it": "browser", "ja": "ブラウザー", "pl": "przeglądarce", "pt": "navegador",
	}
	for lang := range letter.Catalogue {
		for _, n := range []letter.Name{letter.SignInCode, letter.Recovery, letter.SignInLink} {
			l, err := letter.Render(n, lang, letter.Sample(n))
			if err != nil {
				t.Fatal(err)
			}
			_, more, _ := strings.Cut(l.Text, letter.Sample(n).Link)
			if browsers[lang] == "" || !strings.Contains(more, browsers[lang]) {
				t.Errorf("%s %s does not say in which browser: %s", lang, n, more)
			}
		}
	}
}

// A letter with a code and no link speaks of no link, and one with a link and no code of no code.
func TestLettersSpeakOfWhatTheyHave(t *testing.T) {
	t.Parallel()
	for lang, words := range map[string][2]string{
		"en": {"code", "link"}, "de": {"Code", "Link"}, "es": {"código", "enlace"}, "fr": {"code", "lien"}, "it": {"codice", "link"}, "ja": {"コード", "リンク"}, "pl": {"kod", "odnośnik"}, "pt": {"código", "link"},
	} {
		alone := letter.Sample(letter.SignInCode)
		alone.Link = ""
		for i, c := range []struct {
			name letter.Name
			data letter.Data
		}{{letter.SignInCode, alone}, {letter.SignInLink, letter.Sample(letter.SignInLink)}} {
			l, err := letter.Render(c.name, lang, c.data)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ToLower(l.Subject + l.Text)
			if !strings.Contains(text, strings.ToLower(words[i])) || strings.Contains(text, strings.ToLower(words[1-i])) {
				t.Errorf("%s %s: %s", lang, c.name, l.Text)
			}
		}
	}
}

// A browser is called in the language of the letter, as the pages call it.
func TestBrowserIsCalledInTheLanguageOfTheLetter(t *testing.T) {
	t.Parallel()
	for lang, want := range map[string]string{
		"en": "Browser: Firefox on Linux", "de": "Browser: Firefox auf Linux", "es": "Firefox en Linux", "fr": "Firefox sur Linux", "it": "Firefox su Linux",
		"pl": "Firefox, Linux", "pt": "Firefox em Linux", "ja": "Linux の Firefox",
	} {
		l, err := letter.Render(letter.NewSignIn, lang, letter.Data{Place: "id.example.com", Browser: "Firefox on Linux"})
		if err != nil || !strings.Contains(l.Text, want) {
			t.Errorf("%s lacks %q: %v %v", lang, want, l, err)
		}
	}
	for _, alone := range []string{"Firefox", "Linux", "{system}"} {
		l, err := letter.Render(letter.NewSignIn, "de", letter.Data{Place: "id.example.com", Browser: alone})
		if err != nil || !strings.Contains(l.Text, "Browser: "+alone) {
			t.Errorf("no %q: %v %v", alone, l, err)
		}
	}
}

func TestStrangersWriteNothing(t *testing.T) {
	t.Parallel()
	for name, greeted := range map[string]bool{
		"Ada Lovelace": true, "Dr. Who": true, "O'Neill": true, "Зоя": true,
		"evil.example.net": false, "http://x": false, "a@b": false, "<b>x</b>": false, strings.Repeat("x", 65): false,
	} {
		l, err := letter.Render(letter.NewSignIn, "en", letter.Data{Person: name, Place: "id.example.com", Browser: "<script>{code}\r\nx"})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(l.Text, "Hello "+name+","); got != greeted {
			t.Errorf("%q is greeted: %v", name, got)
		}
		if strings.Contains(l.HTML, "<script") || strings.Contains(l.Text, "\r") {
			t.Error("a stranger's browser writes HTML or lines")
		}
	}
	l, err := letter.Render(letter.SignInCode, "xx-AT", letter.Data{Place: "{minutes}", Code: "{place}", Link: "javascript:alert(1)"})
	if err != nil || !strings.Contains(l.Subject, "{minutes}") {
		t.Errorf("what is put in is read again: %v %v", l, err)
	}
	if strings.Contains(l.HTML, `href="javascript:`) {
		t.Error("a link that is none")
	}
}

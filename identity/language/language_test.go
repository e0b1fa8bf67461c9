package language

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]Tag{
		"":                                    "",
		"*":                                   "",
		"de":                                  "de",
		"de-AT,de;q=0.9,en;q=0.8":             "de",
		"en-GB":                               "en",
		"pt-BR, en;q=0.1":                     "pt",
		"pt-PT":                               "pt",
		"ja-JP":                               "ja",
		"zh-CN":                               "",
		"zh-CN, pl;q=0.5":                     "pl",
		"en;q=0.2, fr;q=0.7":                  "fr",
		"fr-CA fr en":                         "fr",
		"xx yy es":                            "es",
		"de;q=x, it":                          "de",
		"!!, it":                              "it",
		strings.Repeat("zh-CN,", 50) + "it":   "",
		"es-419":                              "es",
		"it, " + strings.Repeat("a-", 100000): "it",
	} {
		if got, ok := Match(list); got != want || ok != (want != "") {
			t.Errorf("%.40q: %q %v, want %q", list, got, ok, want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, s := range []string{"de-AT,de;q=0.9", "fr en", "*;q=0", ";;,", "x-private"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if tag, ok := Match(s); ok && tag.Name() == "" {
			t.Errorf("%q: %q is none of ours", s, tag)
		}
	})
}

func FuzzSentence(f *testing.F) {
	for _, s := range []string{"a %s b %[2]d %%", "%", "%[", "%[9]s", "%[0]s", "%[1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			return
		}
		args := []any{1, 2, 3, 4, 5, 6, 7, 8, 9}
		for arg := range s.places() {
			if arg > len(args) {
				return
			}
		}
		if _, err := s.say(Source, args); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryLanguageHasAName(t *testing.T) {
	t.Parallel()
	if len(All) != len(names) {
		t.Errorf("%d languages, %d names", len(All), len(names))
	}
	for _, tag := range All {
		if p, ok := Parse(string(tag)); !ok || p.Name() == "" {
			t.Errorf("%s has no name", tag)
		}
	}
}

func TestOwnTextsAreComplete(t *testing.T) {
	t.Parallel()
	for _, fault := range own.Faults() {
		t.Error(fault)
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 5, 14, 7, 0, 0, time.UTC)
	got := map[string]string{
		"en 1s": Duration("en", 300*time.Millisecond), "en 59s": Duration("en", 58500*time.Millisecond), "en 60s": Duration("en", 60*time.Second),
		"de 61s": Duration("de", 61*time.Second), "pl 2min": Duration("pl", 2*time.Minute), "pl 5min": Duration("pl", 5*time.Minute),
		"pl 22s": Duration("pl", 22*time.Second), "fr 1h": Duration("fr", time.Hour), "ja 24h": Duration("ja", 24*time.Hour), "it 3d": Duration("it", 72*time.Hour),
		"en now": Ago("en", now.Add(-time.Second), now), "es yesterday": Ago("es", now.Add(-25*time.Hour), now), "pl 3h": Ago("pl", now.Add(-3*time.Hour), now),
		"pt long": Ago("pt", now.AddDate(0, -3, 0), now), "ja date": Date("ja", now), "de moment": Moment("de", now), "pl date": Date("pl", now),
		"en number": Number("en", 12345), "de number": Number("de", 12345), "fr small": Number("fr", -999),
	}
	want := map[string]string{
		"en 1s": "a second", "en 59s": "59 seconds", "en 60s": "a minute", "de 61s": "2 Minuten", "pl 2min": "2 minuty", "pl 5min": "5 minut", "pl 22s": "22 sekundy",
		"fr 1h": "1 heure", "ja 24h": "24時間", "it 3d": "3 giorni", "en now": "just now", "es yesterday": "ayer", "pl 3h": "3 godziny temu",
		"pt long": "5 de dezembro de 2025", "ja date": "2026年3月5日", "de moment": "5. März 2026 um 14:07 UTC", "pl date": "5 marca 2026",
		"en number": "12,345", "de number": "12.345", "fr small": "-999",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	c := New(map[string]string{
		"from": "%s from %s", "n#one": "%[2]s has a file", "n#other": "%[2]s has %[1]d files", "rate": "100 %%",
	}, fstest.MapFS{"texts/ja.json": {Data: []byte(`{"from": "%[2]sから%[1]s", "n#other": "%[2]s:%[1]d"}`)}})
	for _, tc := range []struct {
		tag  Tag
		key  string
		args []any
		want string
	}{
		{"en", "from", []any{"A", "B"}, "A from B"},
		{"ja", "from", []any{"A", "B"}, "BからA"},
		{"en", "n", []any{1, "Ada"}, "Ada has a file"},
		{"en", "n", []any{int64(1200), "Ada"}, "Ada has 1,200 files"},
		{"ja", "n", []any{1, "Ada"}, "Ada:1"},
		{"de", "n", []any{1, "Ada"}, "Ada has a file"},
		{"ja", "rate", nil, "100 %"},
	} {
		if got, err := c.Text(tc.tag, tc.key, tc.args...); err != nil || got != tc.want {
			t.Errorf("%s %s: %q %v, want %q", tc.tag, tc.key, got, err, tc.want)
		}
	}
	for _, bad := range [][]any{{"gone"}, {"from", "A"}, {"n", "A", "B"}} {
		if got, err := c.Text("en", bad[0].(string), bad[1:]...); err == nil {
			t.Errorf("%v: %q", bad, got)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	english := map[string]string{"a": "%s", "n#one": "one", "n#other": "%d"}
	complete := fstest.MapFS{}
	for _, tag := range All {
		complete["texts/"+string(tag)+".json"] = &fstest.MapFile{Data: []byte(`{"a": "%s", "n#one": "one", "n#other": "%d"}`)}
	}
	complete["texts/ja.json"] = &fstest.MapFile{Data: []byte(`{"a": "%s", "n#one": "one", "n#other": "%d"}`)}
	complete["texts/pl.json"] = &fstest.MapFile{Data: []byte(`{"a": "%d", "n#one": "one", "n#few": "%d", "n#many": "many", "b": ""}`)}
	want := []string{
		"ja: n#one: is not needed",
		"pl: a: the places are %[1]d, in English %[1]s",
		"pl: b: is not needed",
		"pl: n#many: the places are , in English %[1]d",
	}
	if d := cmp.Diff(want, New(english, complete).Faults()); d != "" {
		t.Error(d)
	}
	delete(complete, "texts/de.json")
	if faults := New(english, complete).Faults(); len(faults) != len(want)+3 || faults[0] != "de: a: missing" {
		t.Errorf("without German: %q", faults)
	}
}

func TestASentenceThatCannotBeReadPanics(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"%", "%x", "%[a]s", "%[10]s", "100 % sure"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is taken", text)
				}
			}()
			New(map[string]string{"a": text}, nil)
		}()
	}
}

func BenchmarkText(b *testing.B) {
	c := New(map[string]string{"hello": "Hello, %s"}, nil)
	for b.Loop() {
		if _, err := c.Text("de", "hello", "Ada"); err != nil {
			b.Fatal(err)
		}
	}
}

package strength_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/strength"
)

var somebody = strength.About{
	Username: "Longusername", Email: "some.body@example.com", Name: "Ann Elizabeth Example", Others: []string{"Acme Rockets"},
}

func codes(v strength.Verdict) []string {
	var all []string
	for _, f := range v.Faults {
		all = append(all, f.Code)
	}
	return all
}

func TestJudge(t *testing.T) {
	t.Parallel()
	short := strength.Policy{MinLength: 8}
	house := strength.Policy{MinLength: 8, Blocklist: []string{"Wolpertinger", "motto of the house"}}
	folded := strength.Policy{MinLength: 8, Blocklist: []string{"IBM", "Große Straße", "ＦＵＬＬ", "STRASSE"}}
	brief := strength.Policy{MinLength: 15, MinScore: 2, Blocklist: []string{"cor", "rec", "hor", "ors", "bat", "ter", "ery"}}
	kinds := strength.Policy{MinLength: 8, RequireUppercase: true, RequireNumber: true, RequireSpecial: true}
	for _, c := range []struct {
		policy   strength.Policy
		password string
		want     []string
	}{
		{strength.Default, "correct horse battery", nil},
		{strength.Default, "日本語の合言葉は長く長く長くせよ", nil},
		{strength.Default, "kT9#vq2!", []string{strength.TooShort}},
		{strength.Default, "", []string{strength.TooShort}},
		{strength.Default, "Summer2026Summer!", []string{strength.Guessable}},
		{strength.Default, "ann elizabeth example", []string{strength.Personal}},
		{strength.Default, "annelizabethexample1", []string{strength.Guessable}},
		{strength.Default, strings.Repeat("x", 257), []string{strength.TooLong}},
		{strength.Default, strings.Repeat("日本", 200), []string{strength.TooLong}},
		{strength.Default, "bad \xff characters here", []string{strength.Unreadable}},
		{strength.Policy{}, "7 chars", []string{strength.TooShort}},
		{short, "8 charsx", nil},
		{short, "passw0rd", []string{strength.Common}},
		{short, " PassWord ", []string{strength.Common}},
		{short, "password2026!", []string{strength.Common}},
		{short, "passwordpassword", []string{strength.Common}},
		{short, "password of mine", nil},
		{short, "aaaaaaaaaa", []string{strength.Repeated}},
		{short, "日日日日日日日日日", []string{strength.Repeated}},
		{short, strings.Repeat("ab", 20), []string{strength.Repeated}},
		{short, " LONGUSERNAME ", []string{strength.Personal}},
		{short, "longusername77", []string{strength.Personal}},
		{short, "some.body@example.com", []string{strength.Personal}},
		{short, "some.body", []string{strength.Personal}},
		{short, "acme rockets!", []string{strength.Personal}},
		{short, "somebody else", nil},
		{house, "2026Wolpertinger!!", []string{strength.Blocked}},
		{house, "Motto of the house", []string{strength.Blocked}},
		{house, "two wolpertingers dance", nil},
		{folded, "ibm 2026!", []string{strength.Blocked}},
		{folded, "Ibm-Ibm-Ibm", []string{strength.Blocked}},
		{folded, "the ibmers", nil},
		{folded, "flibmont", nil},
		{folded, "GROSSE STRASSE 7", []string{strength.Blocked}},
		{folded, "straße2026", []string{strength.Blocked}},
		{folded, "full2026", []string{strength.Blocked}},
		{folded, "ｓｔｒａｓｓｅ２０２６", []string{strength.Blocked}},
		{brief, "correct horse battery", nil},
		{short, "ＰａｓｓＷｏｒｄ", []string{strength.Common}},
		{kinds, "only small letters", []string{strength.Uppercase, strength.Number}},
		{kinds, "OnlyLetters", []string{strength.Number, strength.Special}},
		{kinds, "Ärger 7 mal", nil},
		{kinds, "12 aa", []string{strength.TooShort, strength.Uppercase}},
	} {
		v := strength.Judge(c.policy, c.password, somebody)
		if diff := cmp.Diff(c.want, codes(v)); diff != "" {
			t.Errorf("%.40q: %s", c.password, diff)
		}
		if (v.Err() == nil) != (len(c.want) == 0) {
			t.Errorf("%.40q: %v", c.password, v.Err())
		}
		var e *identity.Error
		if err := v.Err(); err != nil && (!errors.As(err, &e) || e.Field != "password" || e.Detail == "" || !errors.Is(err, identity.ErrInvalid)) {
			t.Errorf("%.40q: %#v says nothing to a person", c.password, err)
		}
	}
}

func TestScore(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]int{
		"": 0, "password": 0, "hunter2secret": 0, "correct horse battery": 4, "kT9#vq2!mZ4&": 4, strings.Repeat("qaz", 30): 0,
		strings.Repeat("correct horse battery ", 4): 4,
	} {
		if v := strength.Judge(strength.Policy{MinLength: 8}, password, strength.About{}); v.Score != want {
			t.Errorf("%q: %d, want %d", password, v.Score, want)
		}
	}
	known, unknown := strength.About{Name: "Wolpertinger Bavaria"}, strength.About{}
	if a, b := strength.Judge(strength.Default, "wolpertingerbavaria", known), strength.Judge(strength.Default, "wolpertingerbavaria", unknown); a.Score >= b.Score {
		t.Errorf("a name is worth %d to who has it, %d to others", a.Score, b.Score)
	}
}

// What anybody can send must not cost more than a hash would: zxcvbn took 1.3 s for 400
// characters, and 0.85 s for 64 that could all stand for letters.
func TestJudgingIsBounded(t *testing.T) {
	about := somebody
	for range 50 {
		about.Others = append(about.Others, strings.Repeat("long name ", 20))
	}
	house := strength.Default
	for i := range strength.MaxBlocked {
		house.Blocklist = append(house.Blocklist, fmt.Sprint("word of the house ", i))
	}
	for _, password := range []string{
		strings.Repeat("4@8({[<3691!|0$57+%2", 20)[:256], strings.Repeat("x4@8({[<3691!|0$57+%2yq", 20)[:255], "(" + strings.Repeat("p@55w0rd", 31),
		"z" + strings.Repeat("19121912", 31), strings.Repeat("password1love", 19), strings.Repeat("日本語の", 63), "a4e" + strings.Repeat("4@80$x", 40),
		"qwertyuiopasdfghjklzxcvbnm1234567890qwertyuiopasdfghjklzxcvbnm12",
	} {
		n := testing.AllocsPerRun(1, func() { strength.Judge(house, password, about) })
		t.Logf("%.20q… %.0f", password, n)
		if n > 2e5 { // a tenth of a second or so; what took 1.3 s made many times as many
			t.Errorf("%.40q took %.0f allocations", password, n)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]bool{
		"acme": true, "Motto of the house": true, "日本航空": true, strings.Repeat("ü", 64): true, "abc": true, "日本語": true, "ab": false, "日本": false, strings.Repeat("ü", 65): false,
		" acme": false, "acme\n": false, "ac\x00me": false, "acme\xff": false, "    ": false,
	} {
		if got := strength.Blockable(word); got != want {
			t.Errorf("%q: %v", word, got)
		}
	}
	for asked, want := range map[int]int{0: 8, 3: 8, 15: 15, 64: 64, 128: 64} {
		if got := (strength.Policy{MinLength: asked}).Least(); got != want {
			t.Errorf("of %d: least %d", asked, got)
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("correct horse battery", "ann", "ann@example.com")
	f.Add("4@8({[<369!1|0$57+%2", "", "@")
	f.Fuzz(func(t *testing.T, password, name, email string) {
		v := strength.Judge(strength.Default, password, strength.About{Username: name, Email: email})
		if v.Score < 0 || v.Score > 4 {
			t.Errorf("score %d", v.Score)
		}
		for _, fault := range v.Faults {
			if fault.Text == "" || strings.Contains(fault.Text, "%") {
				t.Errorf("%+v", fault)
			}
		}
	})
}

package assurance_test

import (
	"slices"
	"strings"
	"testing"

	. "github.com/quis-idp/quis/identity/assurance"
)

var (
	pwd      = Factor{Method: Password}
	totp     = Factor{Method: TOTP}
	code     = Factor{Method: Recovery}
	mail     = Factor{Method: Mail}
	trusted  = Factor{Method: Device}
	approval = Factor{Method: Approval}
	touch    = Factor{Method: Passkey, Bound: true}                                 // a security key without PIN
	vouched  = Factor{Method: Passkey, Bound: true, Attested: true}                 // its maker is known
	synced   = Factor{Method: Passkey, Verified: true}                              // a phone's
	key      = Factor{Method: Passkey, Verified: true, Bound: true}                 // with PIN, maker unknown
	hardware = Factor{Method: Passkey, Verified: true, Bound: true, Attested: true} // with PIN, maker known
	fake     = Factor{Method: Passkey, Verified: true, Attested: true}              // attested, but synced
	card     = Factor{Method: Certificate, Verified: true, Bound: true, Attested: true, Card: true}
)

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		name    string
		factors []Factor
		level   Level
		amr     string
	}{
		{"nothing", nil, 0, ""},
		{"password", []Factor{pwd}, 1, "pwd"},
		{"totp alone", []Factor{totp}, 1, "otp"},
		{"mail alone", []Factor{mail}, 1, "otp"},
		{"password and mail is one factor too few", []Factor{pwd, mail}, 1, "otp pwd"},
		{"mail and totp: nothing known", []Factor{mail, totp}, 1, "otp"},
		{"password and totp", []Factor{pwd, totp}, 2, "mfa otp pwd"},
		{"the order does not count", []Factor{totp, pwd}, 2, "mfa otp pwd"},
		{"password and recovery code", []Factor{pwd, code}, 2, "mfa otp pwd"},
		{"password on a trusted device: a cookie is no factor", []Factor{pwd, trusted}, 1, "pwd"},
		{"password and approval", []Factor{pwd, approval}, 2, "mca mfa pwd"},
		{"a key that is only touched", []Factor{touch}, 1, "swk user"},
		{"password and such a key", []Factor{pwd, touch}, 2, "mfa pwd swk user"},
		{"password and such a key of a known maker", []Factor{pwd, vouched}, 3, "hwk mfa pwd user"},
		{"a synced passkey", []Factor{synced}, 2, "mfa swk user"},
		{"a synced passkey is never level 3", []Factor{pwd, synced, totp, fake}, 2, "mfa otp pwd swk user"},
		{"a key with PIN", []Factor{key}, 2, "mfa swk user"},
		{"a key with PIN of a known maker", []Factor{hardware}, 3, "hwk mfa user"},
		{"smart card", []Factor{card}, 3, "mfa sc"},
	} {
		if got := Of(c.factors); got != c.level {
			t.Errorf("%s: level %d, want %d", c.name, got, c.level)
		}
		if got := strings.Join(AMR(c.factors), " "); got != c.amr {
			t.Errorf("%s: amr %q, want %q", c.name, got, c.amr)
		}
	}
}

// One proof more never makes a person less known.
func TestMoreIsNotLess(t *testing.T) {
	all := []Factor{pwd, totp, code, mail, trusted, approval, touch, vouched, synced, key, hardware, fake, card}
	for set := range 1 << len(all) {
		var factors []Factor
		for i, f := range all {
			if set>>i&1 == 1 {
				factors = append(factors, f)
			}
		}
		level := Of(factors)
		for _, f := range all {
			if more := Of(append(slices.Clone(factors), f)); more < level {
				t.Fatalf("%v is level %d, with %v %d", factors, level, f, more)
			}
		}
	}
}

func TestACR(t *testing.T) {
	for l := Level(1); l <= 3; l++ {
		if LevelOf(l.ACR()) != l {
			t.Errorf("level %d is %q is %d", l, l.ACR(), LevelOf(l.ACR()))
		}
	}
	for _, acr := range []string{"", "urn:quis:acr:aal", "urn:quis:acr:aal0", "urn:quis:acr:aal4", "urn:quis:acr:aal22", "urn:gold"} {
		if l := LevelOf(acr); l != 0 {
			t.Errorf("%q is level %d", acr, l)
		}
	}
	for _, c := range []struct {
		asked   string
		reached Level
		answer  string
		meets   bool
	}{
		{"", 1, "urn:quis:acr:aal1", false},
		{"urn:quis:acr:aal1", 2, "urn:quis:acr:aal1", true},
		{"urn:quis:acr:aal2 urn:quis:acr:aal1", 2, "urn:quis:acr:aal2", true},
		{"urn:quis:acr:aal3 urn:quis:acr:aal2", 1, "urn:quis:acr:aal1", false},
		{"urn:gold", 3, "urn:quis:acr:aal3", false},
	} {
		asked := strings.Fields(c.asked)
		if got := Answer(asked, c.reached); got != c.answer {
			t.Errorf("asked for %q, reached %d: %q, want %q", c.asked, c.reached, got, c.answer)
		}
		if got := Meets(asked, c.reached); got != c.meets {
			t.Errorf("asked for %q, reached %d: met %v, want %v", c.asked, c.reached, got, c.meets)
		}
	}
}

func TestMerge(t *testing.T) {
	got := Merge([]Factor{pwd, synced}, []Factor{hardware})
	if len(got) != 2 || got[0].Method != Passkey || !got[0].Attested || got[1].Method != Password {
		t.Errorf("%+v", got)
	}
}

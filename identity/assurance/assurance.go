// Package assurance says how surely a person is known: which factors they have proved, what
// level that is (NIST SP 800-63B-4 §2), and how tokens tell it (acr, amr).
//
// It is pure: facts in, words out. Who asks for which level is policy's, how a factor is
// proved is authn's.
package assurance

import (
	"slices"
	"strings"
	"time"
)

// A Method is a way to prove who one is.
type Method string

// The methods.
const (
	Password    Method = "password"
	TOTP        Method = "totp"        // RFC 6238
	Recovery    Method = "recovery"    // a recovery code
	Passkey     Method = "passkey"     // WebAuthn, of whatever kind: see Factor
	Mail        Method = "mail"        // a code or a link sent to the person's address
	Certificate Method = "certificate" // X.509, smart card
	Approval    Method = "approval"    // in another browser in which the person is signed in
	Federated   Method = "federated"   // by another provider, who knows how
	Device      Method = "device"      // a trusted device: it spares its person a second factor, and proves nothing
	Vouched     Method = "vouched"     // an administrator vouches for the person, by a link to get back in
	Removed     Method = "removed"     // with what is theirs no more: a session that is left over, and was never proved
)

// A Factor is one proof that a person has given.
type Factor struct {
	Method Method    `cbor:"1,keyasint,omitempty"`
	At     time.Time `cbor:"2,keyasint,omitempty"`

	// Of a passkey or certificate:
	Verified bool `cbor:"3,keyasint,omitempty"` // it asked for a PIN or a fingerprint (WebAuthn UV)
	Bound    bool `cbor:"4,keyasint,omitempty"` // its key cannot leave the device (WebAuthn BE=0)
	Attested bool `cbor:"5,keyasint,omitempty"` // its maker vouches that hardware protects its key, by FIDO metadata or an authority
	Card     bool `cbor:"9,keyasint,omitempty"` // it is a smart card
	Unasked  bool `cbor:"-"`                    // of what a person has: it came to them, they did not choose it

	// What is spent when the sign-in is finished, and nothing of it is worth telling but which app or passkey it was:
	Ref   string `cbor:"6,keyasint,omitempty"` // which of the person's credentials
	Count int64  `cbor:"7,keyasint,omitempty"` // TOTP step, signature counter
	Box   []byte `cbor:"8,keyasint,omitempty"` // whatever else the method needs then
}

// Asks reports whether a person who has f has chosen to be asked for a second factor. Nobody
// chose a certificate that is theirs by a rule, or a passkey that their browser made by itself,
// and it may be in no other browser of theirs.
func (f Factor) Asks() bool {
	switch f.Method {
	case TOTP, Passkey, Certificate:
		return !f.Unasked
	}
	return false
}

// Told returns factors without what is spent at the end: what a session keeps. An app and a passkey it keeps by
// their IDs, as one of several may be removed.
func Told(factors []Factor) []Factor {
	out := slices.Clone(factors)
	for i := range out {
		if out[i].Count, out[i].Box = 0, nil; out[i].Method != TOTP && out[i].Method != Passkey {
			out[i].Ref = ""
		}
	}
	return out
}

// With reports whether f was proved with the credential id of method m. What does not say with which may
// have been.
func (f Factor) With(m Method, id string) bool { return f.Method == m && (f.Ref == "" || f.Ref == id) }

// A Level is an authentication assurance level, 1 to 3; 0: nothing has been proved.
type Level int

// acrPrefix begins the names of the levels in tokens.
const acrPrefix = "urn:quis:acr:aal"

// ACRs are the values of acr, surest first.
var ACRs = []string{Level(3).ACR(), Level(2).ACR(), Level(1).ACR()}

// ACR is the level's authentication context class (OpenID Connect Core §2); "" of level 0.
func (l Level) ACR() string {
	if l < 1 || l > 3 {
		return ""
	}
	return acrPrefix + string('0'+rune(l))
}

// LevelOf is the inverse of ACR, 0 for what is none of ours. The value that the first release
// wrote, for a password, is level 1.
func LevelOf(acr string) Level {
	if acr == "urn:quis:acr:password" {
		return 1
	}
	if digit, ok := strings.CutPrefix(acr, acrPrefix); ok && len(digit) == 1 && digit[0] >= '1' && digit[0] <= '3' {
		return Level(digit[0] - '0')
	}
	return 0
}

// Answer is the value of acr that tokens carry when these were asked for and the level was
// reached: the surest of them that is met, else the level's own.
func Answer(asked []string, reached Level) string {
	best := Level(0)
	for _, acr := range asked {
		if l := LevelOf(acr); l <= reached {
			best = max(best, l)
		}
	}
	if best > 0 {
		return best.ACR()
	}
	return reached.ACR()
}

// Meets reports whether the level is enough for one of the values of acr.
func Meets(asked []string, reached Level) bool {
	return slices.ContainsFunc(asked, func(acr string) bool { l := LevelOf(acr); return l > 0 && l <= reached })
}

// Of returns the level that factors come to.
//
// One factor is level 1. Level 2 is a passkey that verified its user, or a password with
// something that the person has. What is sent to a mailbox is never that something (SP
// 800-63B-4 §3.1.3.1), nor is a recovery code more than level 2. A trusted device is no authenticator
// there, but a cookie beside a password, and counts for nothing. Level 3
// needs a key that cannot leave its device, and whose maker vouches that hardware protects it (SP
// 800-63B-4 §2.3.2).
func Of(factors []Factor) Level {
	level := Level(0)
	knows := Has(factors, Password)
	for _, f := range factors {
		level = max(level, alone(f))
		if knows {
			level = max(level, withPassword(f))
		}
	}
	return level
}

// Takes says what the level is made of, to an administrator; see Of.
func (l Level) Takes() string {
	switch l {
	case 3:
		return "it takes a passkey or a card that cannot leave its device, and whose maker vouches that hardware protects its key"
	case 2:
		return "it takes a passkey that verifies its user, or a password and something else that they have"
	}
	return "it takes a way to sign in"
}

func alone(f Factor) Level {
	if f.Method == Device {
		return 0
	}
	if (f.Method == Passkey || f.Method == Certificate) && f.Verified {
		if f.Bound && f.Attested {
			return 3
		}
		return 2
	}
	return 1
}

func withPassword(f Factor) Level {
	switch f.Method {
	case TOTP, Recovery, Approval:
		return 2
	case Passkey, Certificate:
		if f.Bound && f.Attested {
			return 3
		}
		return 2
	}
	return 1
}

// Spared reports whether a trusted device stands, beside a password, for the second factor that a policy asks for:
// the person is not asked for one, and no better known.
func Spared(factors []Factor) bool { return Has(factors, Password) && Has(factors, Device) }

// Resistant reports whether one of the factors cannot be phished.
func Resistant(factors []Factor) bool { return Has(factors, Passkey) || Has(factors, Certificate) }

// kept says where the key of a passkey or certificate is: in hardware only by its maker's word, as anything can
// say of itself that it stays on its device.
func kept(f Factor) string {
	switch {
	case f.Card:
		return "sc"
	case f.Bound && f.Attested:
		return "hwk"
	}
	return "swk"
}

// AMR returns the authentication methods references of factors (RFC 8176 §2), sorted: pwd, otp,
// swk, hwk or sc, the first two with user if it is a passkey, and mfa from level 2 on.
func AMR(factors []Factor) []string {
	var out []string
	for _, f := range factors {
		switch f.Method {
		case Password:
			out = append(out, "pwd")
		case TOTP, Recovery, Mail:
			out = append(out, "otp")
		case Passkey:
			out = append(out, kept(f), "user")
		case Certificate:
			out = append(out, kept(f))
		case Approval:
			out = append(out, "mca") // another channel
		}
	}
	if Of(factors) >= 2 {
		out = append(out, "mfa")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Merge adds fresh factors to older ones, newest first of each method: a step-up raises what
// there is, and proving the same again renews its time.
func Merge(old, fresh []Factor) []Factor {
	out := slices.Clone(fresh)
	for _, f := range old {
		if !Has(out, f.Method) {
			out = append(out, f)
		}
	}
	return out
}

// Has reports whether the method is among the factors.
func Has(factors []Factor, m Method) bool {
	return slices.ContainsFunc(factors, func(f Factor) bool { return f.Method == m })
}

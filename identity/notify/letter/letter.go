package letter

import (
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/identity"
)

// A Name is a kind of letter. It is part of URLs and of stored rows: never change one.
type Name string

// The letters.
const (
	Test              Name = "test"                   // an administrator tries the settings
	SignInCode        Name = "sign_in_code"           // a code and perhaps a link to sign in with
	SignInLink        Name = "sign_in_link"           // a link alone
	VerifyEmail       Name = "verify_email"           // proves that an address is the person's
	Recovery          Name = "recovery"               // a code or link to get back in
	Invitation        Name = "invitation"             // a link to join
	NewSignIn         Name = "new_sign_in"            // from a browser not seen before
	PasswordSet       Name = "password_set"           // changed, or of a release that did not say which
	PasswordFirst     Name = "password_first"         // there was none before
	PasswordRemoved   Name = "password_removed"       // by the person
	FactorAdded       Name = "factor_added"           // What says which
	FactorRemoved     Name = "factor_removed"         // What says which
	EmailChanged      Name = "email_changed"          // goes to the former and the new address
	RecoveryStarted   Name = "recovery_started"       // somebody says they are the person and lost a factor
	RecoveryFinished  Name = "recovery_finished"      // and got in
	RecoveryCancelled Name = "recovery_cancelled"     // and was stopped
	PasskeySuspicious Name = "passkey_suspicious"     // a copy of a passkey seems to be in use
	CodesSpent        Name = "recovery_code_used"     // a recovery code was used
	AlarmRaised       Name = "alarm_raised"           // "this wasn't me" was pressed
	RecoveryCodesMade Name = "recovery_codes_added"   // a new set
	CodesRemoved      Name = "recovery_codes_removed" // all of them
	TokenMade         Name = "token_created"          // an access token; What is its name
	EmailOld          Name = "email_change_old"       // the address of now: shall What take its place?
	EmailNew          Name = "email_change_new"       // the address that shall
	AddressTaken      Name = "address_taken"          // somebody wanted to use an address that an account has already
	Impersonated      Name = "impersonated"           // an administrator acts as the person; What says why
)

// A Kind is of what a person has that they call by a name. It is part of stored rows: never change one.
type Kind string

// The kinds, as targets of events are called; a Key is a passkey that is asked for only after something else.
const (
	App         Kind = "totp"
	Passkey     Kind = "passkey"
	Key         Kind = "key"
	Certificate Kind = "certificate"
	Approver    Kind = "approver" // a browser in which sign-ins are approved

	First Kind = "first" // of recovery codes that replace none; a release that does not know it says that they did
)

// Known reports whether a letter has a word for k.
func (k Kind) Known() bool { _, ok := english["kind."+string(k)]; return ok }

// A spec says what a letter is made of besides subject, greeting, lead and foot.
type spec struct {
	code, button, facts, alarm, more bool
	// alone: it says something else where there is no link.
	alone bool
	// stranger: who gets it may have no account; somebody has given this address.
	stranger bool
}

var specs = map[Name]spec{
	Test:              {},
	SignInCode:        {code: true, button: true, more: true, alone: true},
	SignInLink:        {button: true, more: true},
	VerifyEmail:       {code: true, button: true, more: true, stranger: true},
	Recovery:          {code: true, button: true, more: true},
	Invitation:        {button: true, more: true, stranger: true},
	EmailOld:          {facts: true, button: true, more: true, alarm: true},
	EmailNew:          {button: true, more: true, stranger: true},
	AddressTaken:      {button: true, more: true},
	NewSignIn:         {facts: true, alarm: true, more: true},
	PasswordSet:       {facts: true, alarm: true, more: true},
	PasswordFirst:     {facts: true, alarm: true, more: true},
	PasswordRemoved:   {facts: true, alarm: true, more: true},
	FactorAdded:       {facts: true, alarm: true, more: true},
	FactorRemoved:     {facts: true, alarm: true, more: true},
	EmailChanged:      {facts: true, alarm: true, more: true},
	RecoveryStarted:   {facts: true, alarm: true, more: true},
	RecoveryFinished:  {facts: true, alarm: true, more: true},
	RecoveryCancelled: {facts: true, alarm: true, more: true},
	PasskeySuspicious: {facts: true, alarm: true, more: true},
	CodesSpent:        {facts: true, alarm: true, more: true},
	RecoveryCodesMade: {facts: true, alarm: true, more: true},
	CodesRemoved:      {facts: true, alarm: true, more: true},
	TokenMade:         {facts: true, alarm: true, more: true},
	AlarmRaised:       {facts: true, more: true},
	Impersonated:      {facts: true, more: true},
}

// Names lists every letter, in the order of the catalogue's file.
func Names() []Name {
	return []Name{
		Test, SignInCode, VerifyEmail, Recovery, Invitation, NewSignIn, PasswordSet, PasswordFirst, PasswordRemoved, FactorAdded, FactorRemoved,
		EmailChanged, RecoveryStarted, RecoveryFinished, RecoveryCancelled, PasskeySuspicious, CodesSpent, RecoveryCodesMade, CodesRemoved, TokenMade, AlarmRaised, Impersonated,
		EmailOld, EmailNew, AddressTaken, SignInLink,
	}
}

// Known reports whether n is a letter.
func (n Name) Known() bool { _, ok := specs[n]; return ok }

// Alarms reports whether n has a link that says "this wasn't me".
func (n Name) Alarms() bool { return specs[n].alarm }

// Data is what varies. What a letter has no place for is left out; what is empty, too.
type Data struct {
	Place       string // host of the issuer: what the person knows this place by
	Person      string // name to greet with
	Kind        Kind   // of What, if it is a name of that
	What        string // name of a factor, the new address, a reason, or the Moment at which a recovery can be finished
	Application string // that the person was on the way to
	Code        string
	Link        string // of the button
	Minutes     int    // how long code and link are good for
	Alarm       string // "this wasn't me" link

	Scopes []string  // of a token
	Until  time.Time // link or token are good; zero: a token is until it is revoked

	// Of the facts.
	When    time.Time
	Browser string
	IP      string
}

// A Letter is one as it is sent.
type Letter struct {
	Language string // that it is in: BCP 47
	Subject  string
	Text     string
	HTML     string
}

// Render writes a letter in the language that comes nearest to locale (BCP 47; may be
// empty). It reports an error for a letter that there is not.
func Render(n Name, locale string, d Data) (*Letter, error) {
	s, ok := specs[n]
	if !ok {
		return nil, fmt.Errorf("there is no letter %.40q", n)
	}
	lang := spoken(locale)
	v := viewOf(n, s, words{lang, replacer(d)}, d)
	out := &Letter{Language: lang, Subject: v.Subject}
	var err error
	if out.Text, err = v.text(); err != nil {
		return nil, fmt.Errorf("letter %s: %w", n, err)
	}
	if out.HTML, err = v.html(); err != nil {
		return nil, fmt.Errorf("letter %s: %w", n, err)
	}
	return out, nil
}

// A view is what both templates show.
type view struct {
	Lang, Subject, Greeting, Lead string
	Code                          string
	Link, Label                   string
	Facts                         []fact
	More                          []string
	Alarm, AlarmLabel, AlarmLead  string
	Foot                          string
}

type fact struct{ Label, Value string }

const maxData = 200 // bytes of what varies, links excepted

func viewOf(n Name, s spec, w words, d Data) *view {
	v := &view{
		Lang: w.lang, Subject: w.of(n, "subject"), Greeting: w.text("greeting"), Lead: w.of(n, "lead"), Foot: w.text("foot"),
	}
	if n == RecoveryCodesMade && d.Kind == First {
		v.Lead = w.of(n, "first")
	}
	if s.stranger {
		v.Foot = w.text("foot.stranger")
	}
	if greetable(d.Person) {
		v.Greeting = w.text("greeting.name")
	}
	if s.code {
		v.Code = identity.Printable(d.Code, maxData)
	}
	if s.button && d.Link != "" {
		v.Link, v.Label = d.Link, w.of(n, "button")
	}
	switch {
	case s.alone && d.Link == "":
		v.More = strings.Split(w.of(n, "alone"), "\n")
	case s.more:
		v.More = strings.Split(w.of(n, "more"), "\n")
	}
	if s.facts {
		v.facts(n, w, d)
	}
	if s.alarm && d.Alarm != "" {
		v.Alarm, v.AlarmLabel, v.AlarmLead = d.Alarm, w.text("alarm.button"), w.text("alarm.lead")
	}
	return v
}

func (v *view) add(w words, key, value string) {
	if value != "" {
		v.Facts = append(v.Facts, fact{w.text("fact." + key), identity.Printable(value, maxData)})
	}
}

func (v *view) facts(n Name, w words, d Data) {
	add := func(key, value string) { v.add(w, key, value) }
	if !d.When.IsZero() {
		add("when", Moment(d.When))
	}
	switch {
	case n == RecoveryStarted:
		add("ready", d.What)
	case d.What != "" && d.Kind.Known():
		add("what", w.text("kind."+string(d.Kind)))
	default:
		add("what", d.What)
	}
	v.token(w, d)
	if _, _, both := strings.Cut(d.Browser, on); both {
		add("browser", w.text("browser.on"))
	} else {
		add("browser", d.Browser)
	}
	add("ip", d.IP)
}

// token says what a token may do, and until when.
func (v *view) token(w words, d Data) {
	if len(d.Scopes) == 0 {
		return
	}
	may := make([]string, len(d.Scopes))
	for i, s := range d.Scopes {
		if may[i] = s; english["scope."+s] != "" {
			may[i] = w.text("scope." + s)
		}
	}
	v.add(w, "may", strings.Join(may, "; "))
	if d.Until.IsZero() {
		v.add(w, "until", w.text("until.revoked"))
	} else {
		v.add(w, "until", Moment(d.Until))
	}
}

// Moment writes a time so that it reads the same in every language.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// greetable reports whether a name reads as one. A name is chosen by whoever registered,
// and mail programs make links of whatever looks like one.
func greetable(name string) bool {
	if name == "" || len(name) > 64 || strings.ContainsAny(name, `/\:@<>[]{}`) {
		return false
	}
	for i := 1; i+1 < len(name); i++ {
		if name[i] == '.' && name[i+1] != ' ' {
			return false
		}
	}
	return true
}

// Sample is data to show a letter with.
func Sample(n Name) Data {
	d := Data{
		Place: "id.example.com", Person: "Ada Lovelace", Application: "Wiki", Code: "314159", Minutes: 10,
		Link: "https://id.example.com/login", Alarm: "https://id.example.com/account/not-me",
		When: time.Date(2026, 11, 28, 21, 30, 0, 0, time.UTC), Browser: "Firefox on Linux", IP: "192.0.2.7",
	}
	switch n {
	case FactorAdded, FactorRemoved, PasskeySuspicious:
		d.Kind, d.What = Passkey, "Laptop"
	case TokenMade:
		d.What, d.Scopes, d.Until = "Backups", []string{"me", "read"}, d.When.Add(90*24*time.Hour)
	case Invitation:
		d.Until = d.When.Add(7 * 24 * time.Hour)
	case Impersonated:
		d.What = "Ticket 4711"
	case EmailChanged, EmailOld:
		d.What = "ada@example.org"
	case RecoveryStarted:
		d.What = Moment(d.When.Add(24 * time.Hour))
	}
	return d
}

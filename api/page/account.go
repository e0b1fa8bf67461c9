package page

import "net/http"

// A Navigation leads through a person's own pages, which more than one room shows;
// the template "own" draws it before "main", and "past" the link that skips it. Such a page has an
// Account of this type, and says {{define "skip"}}{{template "past"}}{{end}}{{define "body"}}{{template "own" .}}{{end}}.
type Navigation struct {
	Base  string // of the tenant's paths, see [Base]
	At    string // which page this is: the last part of its text's key, such as "sessions"
	Name  string // who is signed in
	Login string

	Acting bool // an administrator acts as them; the page says so, offers to end it, and nothing that it would refuse

	Asked  bool   // a sign-in waits for the person's approval
	Answer string // where that is answered; "" they are not told
	Poll   string // tells when one waits, see wait.js; "": this browser may not answer

	Told Told // whether this browser is told when one waits, without a page that is open

	Warning Warning // what the person should decide at once, on whatever page; without Text: nothing
}

// A Warning says that something is going on, with the one button that stops it.
type Warning struct {
	Text, Label string
	Action      string // path that the button posts to
}

// Told is how the page of a browser that is told by push sees whether it has a subscription
// still, and the one that is known; see follow.js. Without a Scope the browser is told of nothing.
type Told struct {
	Scope string // of the worker that shows what comes, see [WorkerScope]
	Mark  string // of the subscription, see push.Mark
}

// An Acting says, on a page that is none of the person's own (see Navigation), that an administrator acts as
// them, and offers to end it; the template "acting" draws it.
type Acting struct{ Base string }

// ActingIf is nil unless somebody acts in the session that r is answered in.
func ActingIf(r *http.Request, acts bool) *Acting {
	if !acts {
		return nil
	}
	return &Acting{Base(r)}
}

package login

import (
	"embed"
	"html/template"

	"github.com/quis-idp/quis/api/page"
)

//go:embed templates texts
var files embed.FS

var site = page.NewSite(files, english)

// One struct for each page: what it shows, and nothing else.
type (
	// homeView is the start page, signed in or not.
	homeView struct {
		Person *person // nil: nobody is signed in
		Base   string  // prefix of the tenant's paths
		Acting bool    // an administrator acts as the person
	}

	// signInView is the form that asks for the name and then, or at once where it is known, for the password.
	signInView struct {
		Purpose     string      // what for: "to continue to Web"; "": it is not known
		Action      string      // where the form goes
		Flow        string      // the sealed flow
		Alert       *page.Alert // nil: nothing is wrong
		Username    page.Field
		Password    page.Field
		Passkey     passkeyView // zero: none can be used here
		Stay        string      // for how long the person may stay signed in, asked with the name where it counts for other ways too; "": it is not theirs to choose
		Staying     bool        // they have chosen that
		Mail        string      // where to ask for a code by mail; "": not open
		MailLink    bool        // a link comes by mail, and no code
		Certificate string      // where browsers are asked for certificates; "": not open
		Forgotten   string      // where to go on without the password; "": not open
		Register    string      // where to go on without an account; "": not open
		Accounts    string      // where those are that have signed in here; "": there is none
		Unknown     string      // the signal that the passkey which was used is not known; "": none
		Last        string      // by which way the last sign-in here began; "": there is no choice, or none was
		timed
	}

	// timed is when a form warns that its time runs out.
	timed struct {
		Soon  string // class of the warning, see quis.css
		Final bool   // there is no more time to be had
	}

	// recoverView asks who has forgotten their password.
	recoverView struct {
		Action   string
		Flow     string
		Username page.Field
		SignIn   string // for who has remembered it
		timed
	}

	// enrolView says that a second factor should be set up.
	enrolView struct {
		Purpose      string // what for: "to continue to Web"; "": it is not known, or goes without
		Who          string // a sentence that says as whom; "": nobody is signed in
		Organization bool   // the tenant, or a group, asks for it
		Setup        string // where that is done
		Continue     string // where to go on
		Optional     bool   // now already
		Left         int    // so often still, if it may be put off; 0: as often as they like
		Bound        bool   // it has to be a passkey that never leaves its device
	}

	// renewView asks for another password.
	renewView struct {
		Action   string
		Flow     string
		Why      string // "first", "recover" (it was forgotten), "leaked", or "due": too old, or an administrator wants it
		Login    string // for password managers
		Password page.Field
		timed
	}

	// lostView says how far the recovery is of somebody who has lost their second factors.
	lostView struct {
		Action   string
		Flow     string
		Recovery string // ID of the one that can be finished now
		State    string // "" it has not begun, delayed, open, or link: an administrator has made one
		Wait     string // such as "24 hours": the whole delay, or what is left of it; "" there is none
		Restart  string // begins again as somebody else
	}

	// linkView asks whoever follows the link of an administrator whether they want to go on.
	linkView struct {
		Action string
		First  string // username of an account in which nobody was yet; "": it is to be got back
	}

	// passkeyView is what the script needs to ask for a passkey.
	passkeyView struct {
		Action, Flow, Options string
		Autofill              bool // offered in the list of the field for the name, too
		Last                  bool // used last in this browser
	}

	// mailView is the form that asks for the code of a mail.
	mailView struct {
		Purpose string // what for: "to continue to Web"; "": it is not known
		Action  string
		Flow    string
		Token   string // of the link that was followed; "": none
		Login   string // as it was typed
		Locked  bool   // it is not the first proof, but the one that a locked account needs
		Closed  bool   // nobody signs in by mail any more
		Alert   page.Alert
		Code    page.Field // zero: the link alone counts, and there is nothing to be typed
		Again   string     // sends another
		Restart string     // begins again as somebody else
		timed
	}

	// secondView is the form that asks for a second factor.
	secondView struct {
		Purpose     string // what for: "to continue to Web"; "": it is not known
		Action      string
		Flow        string
		Way         string // the method
		Who         string // a sentence that says as whom; "": whoever it is says so at this step
		Lead        string // what to do
		Alert       page.Alert
		Code        page.Field
		Typed       bool         // there is a code to be typed
		Trust       string       // for how long this browser may be trusted; "": it may not
		Passkey     *passkeyView // nil: none can be used here
		Certificate string       // where the browser is asked for one; "": it is not
		Others      []link       // other methods
		Lost        string       // where who can use none of them goes on; "" nowhere
		Ask         bool         // who can use none of them must ask an administrator
		Forgotten   bool         // who has lost the second factors is asked for the password, and may have forgotten it as well
		Restart     string       // begins again as somebody else
		timed
	}
	link struct{ Label, To string }

	// approvalView asks for an approval in another browser, or waits for it.
	approvalView struct {
		Purpose string // what for: "to continue to Web"; "": it is not known
		Who     string // a sentence that says as whom; "": whoever it is says so at this step
		Alert   page.Alert
		Number  string // to be typed there; "": nothing is being asked
		Ready   bool   // it is approved
		Ask     string // asks, or asks again
		Action  string // goes on
		Poll    string // answers 204 as long as there is nothing new
		Flow    string
		Others  []link
		Restart string
	}

	// certificateView asks to go on with a certificate that the browser has shown.
	certificateView struct {
		Purpose string // what for: "to continue to Web"; "": it is not known
		Action  string
		Flow    string
		Title   string // whose it says it is
		Restart string // another way, or somebody else
	}

	// leavingView is shown for the moment in which the browser goes on.
	leavingView struct {
		Application string
		Target      string
	}

	// postingView is a form that the browser takes on to an application.
	postingView struct {
		Application string
		Action      string
		Fields      []postedField
	}
	postedField struct{ Name, Value string }
	// accountView offers the account that is signed in, those that were, or another.
	accountView struct {
		Acting      *page.Acting
		Application string
		Person      *person // who may go on at once; nil: nobody
		Action      string
		Flow        string // the sealed flow
		Others      []accountLine
		Forget      string // where one of them is forgotten
		Another     string // where the form for another account is
	}
	accountLine struct {
		person
		Key string // by which the browser knows it
		To  string // where it signs in
	}
	// messageView is a page that only tells something and leads on.
	messageView struct {
		Title  string
		Detail string
		Link   template.URL // where to go from here; may have an application's own scheme
		Label  string       // what the link says

		Reference string // ID by which the log has it; "" none
	}

	// signedOutView is messageView with what the browser must load for applications to forget the session.
	signedOutView struct {
		messageView
		Frames []string
	}

	// waitView says until when no further attempt is accepted.
	waitView struct {
		Detail string
		Link   string // back to the form; may be empty
	}

	// signOutView asks whether to end the session.
	signOutView struct {
		Acting   *page.Acting
		Person   person
		Action   string
		Back     string // for who changes their mind
		ReturnTo string // where to go afterwards; "" nowhere
	}

	// person is who is signed in.
	person struct{ Name, Login string }
)

var (
	homePage        = page.Page[homeView](site, "templates/home.html", "templates/person.html")
	signInPage      = page.Page[signInView](site, "templates/sign_in.html", "templates/longer.html", "templates/passkey.html")
	signInStill     = page.StillOf(signInPage)
	secondPage      = page.Page[secondView](site, "templates/second.html", "templates/longer.html", "templates/passkey.html")
	certificatePage = page.Page[certificateView](site, "templates/certificate.html")
	approvalPage    = page.Page[approvalView](site, "templates/approval.html")
	mailPage        = page.Page[mailView](site, "templates/mail.html", "templates/longer.html")
	recoverPage     = page.Page[recoverView](site, "templates/recover.html", "templates/longer.html")
	lostPage        = page.Page[lostView](site, "templates/lost.html")
	linkPage        = page.Page[linkView](site, "templates/link.html")
	renewPage       = page.Page[renewView](site, "templates/renew.html", "templates/longer.html")
	enrolPage       = page.Page[enrolView](site, "templates/enrol.html")
	leavingPage     = page.Page[leavingView](site, "templates/leaving.html")
	leavingStill    = page.StillOf(leavingPage)
	postingPage     = page.Page[postingView](site, "templates/posting.html")
	accountPage     = page.Page[accountView](site, "templates/account.html", "templates/person.html")
	messagePage     = page.Page[messageView](site, "templates/message.html")
	heldPage        = page.Page[waitView](site, "templates/wait.html")
	waitPage        = page.StillOf(heldPage)
	signOutPage     = page.Page[signOutView](site, "templates/sign_out.html", "templates/person.html")
	signedOutPage   = page.Page[signedOutView](site, "templates/signed_out.html")
)

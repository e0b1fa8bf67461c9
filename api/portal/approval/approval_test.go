package approval

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/settings"
)

const (
	answerPath = "/account/approvals/sign-in"
	askedPath  = "/account/approvals/asked"
)

// finish goes on in a browser that waits.
func (s *someone) finish(waiting pagetest.Answer) pagetest.Answer {
	s.T.Helper()
	return s.Post("/login/second", url.Values{"flow": waiting.Hidden("flow")[:1], "way": {"approval"}})
}

// Whoever follows a message, or the banner of another node, is not told by one that lags that nothing waits.
func TestALaggingNodeShowsWhatWaits(t *testing.T) {
	t.Parallel()
	h := newHouseOver(t, 2)
	laptop := h[0].approver()
	laptop.URL = h[1].URL
	laptop.Get(answerPath).Want(t, 200, "No sign-in waits")
	h[0].Cluster.Pause(1)
	h[0].asking()
	laptop.Get(answerPath).Want(t, 200, "Firefox on Linux")
}

func TestASignInIsApprovedElsewhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	laptop.Get("/account/security").Want(t, 200, "Laptop", "this browser", "Not used yet")
	laptop.Get(answerPath).Want(t, 200, "No sign-in waits")
	if a := laptop.Get(askedPath); a.StatusCode != 204 {
		t.Errorf("nothing is asked, and the script is told %d", a.StatusCode)
	}
	laptop.Get("/account").Want(t, 200, `hidden data-poll="`+askedPath+`"`)

	phone, waiting, number := h.asking()
	poll := url.Values{"flow": waiting.Hidden("flow")[:1]}
	if a := phone.Post("/login/asked", poll); a.StatusCode != 204 {
		t.Errorf("nothing has happened, and the script is told %d", a.StatusCode)
	}
	phone.finish(waiting).Want(t, 400, "Nobody has approved it yet", "<code>"+number+"</code>")

	if a := laptop.Get(askedPath); a.StatusCode != 200 {
		t.Errorf("a sign-in waits, and the script is told %d", a.StatusCode)
	}
	if a := laptop.Get("/account").Want(t, 200, "Somebody wants to sign in as you", answerPath); strings.Contains(a.Page, "data-poll") {
		t.Error("what is shown already is waited for")
	}
	question := laptop.Get(answerPath).Want(t, 200, "Are you signing in?", "Firefox on Linux", "your current network", "Not you?", `class="link" type="submit" name="decision" value="disown">This wasn&#39;t me: sign out everywhere else`)
	_, asked, _ := strings.Cut(question.Page, "<h1>") // around it are drawings and a port, with numbers of their own
	asked, _, _ = strings.Cut(asked, "</main>")
	if strings.Contains(asked, number+"</") || strings.Contains(asked, `"`+number+`"`) {
		t.Errorf("the number %s is on the page on which it has to be typed: %s", number, asked)
	}
	form := url.Values{"request": question.Hidden("request")[:1], "decision": {"approve"}, "number": {wrong(number)}}
	laptop.Post(answerPath, form).Want(t, 422, "Attempts left: 2", `aria-invalid="true"`)
	form.Set("number", number)
	laptop.done(answerPath, form).Want(t, 200, "You have approved the sign-in")

	if a := phone.Post("/login/asked", poll); a.StatusCode != 200 {
		t.Errorf("it is approved, and the script is told %d", a.StatusCode)
	}
	phone.Get("/login?"+poll.Encode()+"&way=approval").Want(t, 200, "You have approved it")
	if done := phone.finish(waiting).Want(t, 200); done.Header.Get("Refresh") == "" {
		t.Fatalf("not signed in: %s", done.Page)
	}
	phone.finish(waiting).Want(t, 410)
	phone.Get("/account/activity").Want(t, 200, "A sign-in asked for your approval", "You approved a sign-in")
	laptop.Get("/account/security").Want(t, 200, "Last used")

	// Who was let in by an approval may not give any.
	phone.Get("/account/security/approvers/new").Want(t, 200, "You signed in here by an approval")
	phone.Post("/account/security/approvers/new", url.Values{"name": {"Phone"}}).Want(t, 200, "You signed in here by an approval")
	if n := len(h.approvers()); n != 1 {
		t.Errorf("%d approvers", n)
	}
}

// wrong is another number of two digits.
func wrong(number string) string {
	n, _ := strconv.Atoi(number)
	return strconv.Itoa(10 + (n-9)%90)
}

func TestThreeWrongNumbers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	phone, waiting, number := h.asking()
	question := laptop.Get(answerPath)
	form := url.Values{"request": question.Hidden("request")[:1], "decision": {"approve"}, "number": {wrong(number)}}
	laptop.Post(answerPath, form).Want(t, 422)
	laptop.Post(answerPath, form).Want(t, 422)
	laptop.done(answerPath, form).Want(t, 200, "once too often", "No sign-in waits")
	form.Set("number", number)
	laptop.done(answerPath, form).Want(t, 200, "waits no longer")
	phone.finish(waiting).Want(t, 400, "refused in the other browser", "Ask again")
}

func TestRefusing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	phone, waiting, _ := h.asking()
	elsewhere := h.enter() // may not approve, but refuse
	question := elsewhere.Get(answerPath).Want(t, 200, "This browser may not approve sign-ins")
	id := question.Hidden("request")[:1]
	elsewhere.Post(answerPath, url.Values{"request": id, "decision": {"approve"}, "number": {"10"}}).Want(t, 403)
	elsewhere.done(answerPath, url.Values{"request": id}).Want(t, 200, "You have refused the sign-in")
	phone.finish(waiting).Want(t, 400, "refused in the other browser")
	if a := laptop.Get(askedPath); a.StatusCode != 204 {
		t.Errorf("%d", a.StatusCode)
	}
}

// One that was not the person's own shuts everybody else out, and is the end of the password.
func TestNotMe(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop, other := h.approver(), h.enter()
	phone, waiting, _ := h.asking()
	question := laptop.Get(answerPath)
	laptop.done(answerPath, url.Values{"request": question.Hidden("request")[:1], "decision": {"disown"}}).Want(t, 200, "Nobody was let in by that sign-in", "Choose another password now")
	laptop.Get("/account/security?done=password-disowned-refused").Want(t, 200, "Nobody was let in by that sign-in", "Look through what stands below")
	phone.finish(waiting).Want(t, 400)
	other.Get("/account").Want(t, 303)
	if n := len(h.approvers()); n != 0 {
		t.Errorf("%d approvers are left", n)
	}
	h.Update(func(tx *fsm.Tx) error {
		why, err := credential.Expired(tx, ten, h.Users["ada"])
		if why == "" {
			t.Error("the password may stay")
		}
		return err
	})
	laptop.Get("/account/activity").Want(t, 200, "You said that a sign-in was not yours")
}

// Attack: in another tab the person has approved by mistake, and whoever got in by it has added a way to sign in. It goes when the
// question that still stands in this tab is answered with no, and what was there before stays: also if they have proved
// meanwhile who they are, which the page of security asks of who has a look there first.
func TestNotMeAfterItWasApproved(t *testing.T) {
	t.Parallel()
	for name, proves := range map[string]bool{"at once": false, "after another proof": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.Pass(2 * time.Minute)
			laptop := h.approver()
			phone, waiting, number := h.asking()
			request := laptop.Get(answerPath).Hidden("request")[:1]
			laptop.done(answerPath, url.Values{"request": request, "decision": {"approve"}, "number": {number}}).Want(t, 200, "You have approved the sign-in")
			phone.finish(waiting).Want(t, 200)
			before := h.apps()
			h.Update(func(tx *fsm.Tx) error {
				_, _, err := totptest.Add(tx, h.Ring, ten, h.Users["ada"], "theirs")
				return err
			})
			if proves {
				h.Pass(time.Hour)
				flow := laptop.Get(laptop.Get(newPath).Want(t, 303).Header.Get("Location")).Hidden("flow")[:1]
				laptop.code(laptop.Post("/login", url.Values{"flow": flow, "username": {"ada"}, "password": {portaltest.Password}}))
			}
			laptop.done(answerPath, url.Values{"request": request, "decision": {"disown"}}).
				Want(t, 200, "ways to sign in that were added since then are removed", "Choose another password now")
			phone.Get("/account").Want(t, 303)
			if left := h.apps(); len(before) == 0 || !slices.Equal(left, before) {
				t.Errorf("left are %v, there were %v", left, before)
			}
		})
	}
}

// apps are the names of ada's.
func (h *house) apps() (names []string) {
	h.Update(func(tx *fsm.Tx) error {
		all, err := totp.List(tx, ten, h.Users["ada"])
		names = nil
		for _, a := range all {
			names = append(names, a.Name)
		}
		return err
	})
	return names
}

func TestTooLate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	phone, waiting, number := h.asking()
	question := laptop.Get(answerPath)
	h.Pass(approval.Lifetime)
	laptop.done(answerPath, url.Values{"request": question.Hidden("request")[:1], "decision": {"approve"}, "number": {number}}).Want(t, 200, "waits no longer")
	phone.finish(waiting).Want(t, 400, "That took too long", "Ask again")
	again := phone.done("/login/ask", url.Values{"flow": waiting.Hidden("flow")[:1]}).Want(t, 200, "Type this number there")

	// Another sign-in has to wait, or to use the app.
	tablet := h.someone()
	second := tablet.half()
	tablet.Post("/login/ask", url.Values{"flow": second.Hidden("flow")[:1]}).Want(t, 400, "Another sign-in is waiting", "Use your authenticator app")
	tablet.code(second)
	phone.finish(again).Want(t, 400, "Nobody has approved it yet")
}

// A browser stays an approver when its person signs out and in again there.
func TestApproverSignsInAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	laptop.Post("/logout", nil).Want(t, 200)
	if ways := h.someone().half(); strings.Contains(ways.Page, "way=approval") {
		t.Error("a browser that is signed out is offered")
	}
	second := laptop.half()
	if strings.Contains(second.Page, "way=approval") {
		t.Error("the browser itself is offered")
	}
	laptop.code(second)
	laptop.Get("/account/security").Want(t, 200, "Laptop", "this browser")
	_, _, number := h.asking()
	question := laptop.Get(answerPath)
	laptop.done(answerPath, url.Values{"request": question.Hidden("request")[:1], "decision": {"approve"}, "number": {number}}).Want(t, 200, "You have approved")
}

func TestAllowing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const newOne = "/account/security/approvers/new"
	grace := h.someone()
	grace.Get(grace.SignIn(grace.Get("/account/security"), "", "grace", portaltest.Password)).Leads(t, "/account/security")
	grace.Get("/account/security").Want(t, 200, "Let this browser approve")
	grace.Get(newOne).Want(t, 200, "First add a passkey or an authenticator app")
	grace.Post(newOne, url.Values{"name": {"x"}}).Want(t, 200, "First add a passkey or an authenticator app")

	s := h.enter()
	s.Get(newOne).Want(t, 200, `value="Firefox on Linux"`)
	s.Post(newOne, url.Values{"name": {" "}}).Want(t, 422, "Something needs another look")
	h.older = true
	s.Post(newOne, url.Values{"name": {"Laptop"}}).Want(t, 503)
	h.older = false
	h.Pass(20 * time.Minute)
	s.Get(newOne).Leads(t, "/login?flow=") // wants a recent proof
	h.Update(func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.MFAMethods = []string{settings.MethodTOTP}
		return settings.Put(tx, 0, a)
	})
	s = h.enter()
	s.Get(newOne).Want(t, 403)
	if a := s.Get("/account/security"); strings.Contains(a.Page, "Approve from another browser") {
		t.Error("it is shown where the tenant does not want it")
	}
}

func TestRenamingAndRemovingAnApprover(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	one := "/account/security/approvers/" + h.approvers()[0].ID
	laptop.Get(one).Want(t, 200, "Laptop")
	laptop.Get(one+"x").Want(t, 404)
	laptop.Post(one, url.Values{"name": {""}}).Want(t, 422, "Something needs another look")
	laptop.done(one, url.Values{"name": {"Desk"}}).Want(t, 200, "The new name is saved", "Desk")
	grace := h.someone()
	grace.SignIn(grace.Get("/account"), "", "grace", portaltest.Password)
	grace.Post(one+"/remove", nil).Want(t, 404)
	removed := laptop.Post(one+"/remove", nil)
	laptop.Get(removed.Want(t, 303).Header.Get("Location")).Want(t, 200, "Nothing can be approved in that browser any more")
	if c := removed.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("cookies: %v", c)
	}
	if ways := h.someone().half(); strings.Contains(ways.Page, "way=approval") {
		t.Error("a browser that was removed is offered")
	}
}

// What a page asks for by itself keeps nobody signed in.
func TestWaitingIsNoActivity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	for range 5 {
		h.Pass(30 * time.Minute)
		laptop.Get(askedPath)
	}
	laptop.Get(askedPath).Want(t, 401)
	laptop.Get("/account").Want(t, 303)
	h.someone().Get(askedPath).Want(t, 401)
}

package address

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/pending"
)

// TestAddressChangesWithBothProofs: in either order, and not before both.
func TestAddressChangesWithBothProofs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	for _, name := range []string{"ada", "grace"} {
		b, now, next := h.enter(name), name+"@example.com", name+"@example.org"
		b.Get("/account").Want(t, 200, `href="/account/email"`)
		b.Get(path).Want(t, 200, "one to the new one", now)
		b.Post(path, url.Values{"email": {next}}).Leads(t, path+"?done=sent")
		b.Get(path+"?done=sent").Want(t, 200, "Messages are on their way", next, "not confirmed yet")
		mails := h.letters(2)
		old, fresh := mails[now], mails[next]
		if !strings.Contains(old.Text, next) || !strings.Contains(old.Text, "/account/not-me?token=") || strings.Contains(fresh.Text, name+",") || strings.Contains(fresh.Text, "not-me") {
			t.Errorf("%s\n%s", old.Text, fresh.Text)
		}
		first, second := old, fresh
		if name == "grace" {
			first, second = fresh, old
		}
		follow(t, b, linkOf(t, first)).Leads(t, path+"?done=half")
		b.Get(path+"?done=half").Want(t, 200, "the link in the other message", "confirmed", "not confirmed yet")
		if u := h.user(name); u.Email != now {
			t.Fatalf("one proof is enough: %+v", u)
		}
		b.Get(linkOf(t, first)).Want(t, http.StatusGone, "This link no longer works")
		follow(t, b, linkOf(t, second)).Leads(t, path+"?done=changed")
		b.Get(path+"?done=changed").Want(t, 200, "Your email address is changed", next)
		if u := h.user(name); u.Email != next || !u.EmailVerified {
			t.Errorf("%+v", u)
		}
	}
}

// TestLinkIsForItsOwner: a stranger whose address was typed by mistake confirms nothing.
func TestLinkIsForItsOwner(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	h.enter("ada").Post(path, url.Values{"email": {"stranger@example.org"}}).Leads(t, path)
	link := linkOf(t, h.letters(2)["stranger@example.org"])
	token, _ := url.Parse(link)
	other := h.enter("grace")
	other.Get(link).Want(t, http.StatusGone)
	other.Post(confirmPath, url.Values{"token": {token.Query().Get("token")}}).Want(t, http.StatusGone)
	pagetest.NewBrowser(t, h.URL).Get(link).Leads(t, "/login?flow=")
	pagetest.NewBrowser(t, h.URL).Post(confirmPath, url.Values{"token": {token.Query().Get("token")}}).Leads(t, "/login?flow=")
	follow(t, h.enter("ada"), link).Leads(t, path+"?done=half")
}

// TestAddressOfSomebodyElse: whoever types it sees what they always see; who has it is told.
func TestAddressOfSomebodyElse(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	b := h.enter("ada")
	b.Post(path, url.Values{"email": {"GRACE@example.com"}}).Leads(t, path+"?done=sent")
	b.Get(path).Want(t, 200, "GRACE@example.com", "not confirmed yet")
	mails := h.letters(2)
	if m := mails["GRACE@example.com"]; m == nil || !strings.Contains(m.Subject, "You have an account") || strings.Contains(m.Text, confirmPath) {
		t.Errorf("%+v", m)
	}
	follow(t, b, linkOf(t, mails["ada@example.com"])).Leads(t, path+"?done=half")
	if u := h.user("ada"); u.Email != "ada@example.com" {
		t.Errorf("%+v", u)
	}
}

func TestAddressThatWasNeverProved(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	h.Update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.Users["ada"], 0, func(u *directory.User) error { u.Email, u.EmailVerified = "typo@example.com", false; return nil })
		return err
	})
	b := h.enter("ada")
	b.Get(path).Want(t, 200, "A link is sent to the new address")
	b.Post(path, url.Values{"email": {"ada@example.org"}}).Leads(t, path)
	if a := b.Get(path); strings.Contains(a.Page, "<dt>typo@example.com") {
		t.Errorf("it is shown as if it had a say: %s", a.Page)
	}
	follow(t, b, linkOf(t, h.letters(1)["ada@example.org"])).Leads(t, path+"?done=changed")
}

// The address of now is confirmed with one press, and nothing is said to change.
func TestAddressOfNowIsConfirmed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	h.Update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.Users["ada"], 0, func(u *directory.User) error { u.EmailVerified = false; return nil })
		return err
	})
	b := h.enter("ada")
	b.Get("/account").Want(t, 200, "not confirmed", `href="/account/email">Confirm this address`)
	a := b.Get(path).Want(t, 200, "ada@example.com is not confirmed yet", "Confirm this address", "Or another address")
	b.Post(path, url.Values{"email": a.Hidden("email")[:1]}).Leads(t, path+"?done=sent")
	b.Get(path).Want(t, 200, "ada@example.com is confirmed when you have followed the link")
	follow(t, b, linkOf(t, h.letters(1)["ada@example.com"])).Leads(t, path+"?done=confirmed")
	b.Get(path+"?done=confirmed").Want(t, 200, "Your email address is confirmed")
	if u := h.user("ada"); u.Email != "ada@example.com" || !u.EmailVerified {
		t.Errorf("%+v", u)
	}
	if a := b.Get("/account"); strings.Contains(a.Page, "Confirm this address") {
		t.Error("what is confirmed is still to be confirmed")
	}
}

func TestAddressChangeEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	b := h.enter("ada")
	for _, bad := range []string{"", "nonsense", "ada@EXAMPLE.com"} {
		b.Post(path, url.Values{"email": {bad}}).Want(t, 422, `id="email-error"`)
	}
	b.Post(path, url.Values{"email": {"ada@example.org"}}).Leads(t, path)
	link := linkOf(t, h.letters(2)["ada@example.org"])
	a := b.Get(link).Want(t, 200, "No, keep my address", `formaction="`+cancelPath+`"`)
	b.Get(path).Want(t, 200, "not confirmed yet") // looking changes nothing
	b.Post(cancelPath, url.Values{"token": a.Hidden("token")}).Leads(t, path+"?done=cancelled")
	b.Get(path+"?done=cancelled").Want(t, 200, "stays as it is", `name="email"`)
	b.Get(link).Want(t, http.StatusGone)
	// Somebody else gets the address between the two proofs.
	b.Post(path, url.Values{"email": {"ada@example.org"}}).Leads(t, path)
	mails := h.letters(2)
	follow(t, b, linkOf(t, mails["ada@example.com"])).Leads(t, path+"?done=half")
	h.Update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.Users["grace"], 0, func(u *directory.User) error { u.Email = "ada@example.org"; return nil })
		return err
	})
	follow(t, b, linkOf(t, mails["ada@example.org"])).Want(t, http.StatusConflict, "Somebody else has got this address")
	h.Pass(pending.EmailChangeLifetime)
	b = h.enter("ada")
	b.Get(linkOf(t, mails["ada@example.org"])).Want(t, http.StatusGone)
	b.Get(path).Want(t, 200, `name="email"`)
}

// A page of a change that another took the place of gives up neither.
func TestOldPageCancelsNoNewerChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	b := h.enter("ada")
	begin := func(to string) (link, token string, waiting []string) {
		b.Post(path, url.Values{"email": {to}}).Leads(t, path+"?done=sent")
		link = linkOf(t, h.letters(2)[to])
		return link, b.Get(link).Want(t, 200).Hidden("token")[0], b.Get(path).Want(t, 200, to).Hidden("email")
	}
	link, token, waiting := begin("first@example.org")
	_, other, next := begin("second@example.org")
	b.Post(cancelPath, url.Values{"token": {token}}).Want(t, http.StatusGone, "This link no longer works")
	b.Post(cancelPath, url.Values{"token": {""}}).Want(t, http.StatusGone)
	h.enter("grace").Post(cancelPath, url.Values{"token": {other}}).Want(t, http.StatusGone)
	b.Post(cancelPath, url.Values{"email": waiting[1:2]}).Leads(t, path)
	b.Get(path).Want(t, 200, "second@example.org", "not confirmed yet")
	b.Get(link).Want(t, http.StatusGone)
	b.Post(cancelPath, url.Values{"email": next[1:2]}).Leads(t, path+"?done=cancelled")
	b.Get(path).Want(t, 200, "A link is sent to your current address")
}

// TestAdministratorOverrides: what an administrator sets holds, and what waited is void.
func TestAdministratorOverrides(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	b := h.enter("ada")
	b.Post(path, url.Values{"email": {"ada@example.org"}}).Leads(t, path)
	mails := h.letters(2)
	follow(t, b, linkOf(t, mails["ada@example.com"])).Leads(t, path+"?done=half")
	h.Update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.Users["ada"], 0, func(u *directory.User) error { u.Email, u.EmailVerified = "countess@example.com", true; return nil })
		return err
	})
	b.Get(path).Want(t, 200, `name="email"`, "countess@example.com")
	follow(t, b, linkOf(t, mails["ada@example.org"])).Want(t, http.StatusGone)
	if u := h.user("ada"); u.Email != "countess@example.com" {
		t.Errorf("%+v", u)
	}
}

// TestAddressChangeWantsARecentProof: a session that was left open changes nothing.
func TestAddressChangeWantsARecentProof(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	b := h.enter("ada")
	h.Pass(time.Hour)
	b.Get(path).Leads(t, "/login?flow=")
	b.Post(path, url.Values{"email": {"ada@example.org"}}).Leads(t, "/login?flow=")
	if len(h.mail) > 0 {
		t.Error("mail was sent")
	}
}

func TestStrangersAreNotFlooded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	b := h.enter("ada")
	for i := range PerUser.Burst {
		b.Post(path, url.Values{"email": {string(rune('a'+i)) + "@example.org"}}).Leads(t, path)
	}
	b.Post(path, url.Values{"email": {"z@example.org"}}).Want(t, http.StatusTooManyRequests)
}

func TestWithoutMail(t *testing.T) {
	t.Parallel()
	h := newHouse(t, true)
	b := h.enter("ada")
	b.Get(path).Want(t, 200, "No mail is sent from here")
	b.Post(path, url.Values{"email": {"ada@example.org"}}).Want(t, http.StatusForbidden)
}

var nav = page.Navigation{At: "profile", Name: "Ada Lovelace", Login: "ada@example.com"}

// examples are all pages, as people see them.
var examples = map[string]func(w http.ResponseWriter, r *http.Request) error{
	"change": func(w http.ResponseWriter, r *http.Request) error {
		return changePage.Write(w, r, 422, changeView{
			Account: nav, Action: path, Back: "/account", Now: "ada@example.com", Proved: true,
			Email: page.Field{Name: "email", Label: "New email address", Type: "email", Error: "This is your address already.", Focus: true},
		})
	},
	"waiting": func(w http.ResponseWriter, r *http.Request) error {
		return changePage.Write(w, r, 200, changeView{
			Account: nav, Notice: site.Text(r, "done.half"), Action: path, Cancel: cancelPath, Back: "/account", Now: "ada@example.com", Proved: true,
			Waiting: &waiting{From: "ada@example.com", To: "countess.of.lovelace@analytical-engines.example.org", OldWaits: true},
		})
	},
	"closed": func(w http.ResponseWriter, r *http.Request) error {
		return changePage.Write(w, r, 200, changeView{Account: nav, Closed: true})
	},
	"confirm": func(w http.ResponseWriter, r *http.Request) error {
		return confirmPage.Write(w, r, 200, confirmView{Account: nav, Action: confirmPath, Cancel: cancelPath, Token: "T", From: "ada@example.com", To: "ada@example.org"})
	},
	"dead": func(w http.ResponseWriter, r *http.Request) error {
		return deadPage.Write(w, r, 410, deadView{nav, path})
	},
}

// Nothing inline, one h1, a label for every input that is seen: on every page.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	pagetest.Each(t, examples)
}

func TestTextsAreTranslated(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}

// Texts that no page and no code names would be translated for nothing.
func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	pagetest.EveryTextIsUsed(t, english, func(key, _ string) bool { return strings.HasPrefix(key, "done.") }, changePage.Keys(), confirmPage.Keys(), deadPage.Keys())
}

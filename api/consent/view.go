package consent

import (
	"embed"
	"net/http"
	"strings"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

//go:embed templates texts
var files embed.FS

var site = page.NewSite(files, english)

// One struct for each page: what it shows, and nothing else.
type (
	// userCodeView is the form for the code that a device shows.
	userCodeView struct {
		Acting *page.Acting
		Person person
		Action string
		Code   page.Field
	}

	// deviceView asks whether a device may in.
	deviceView struct {
		Person      person
		Application string
		Code        string
		Asks        []ask  // what it wants
		From        string // where the device asked from
		Begun       string // when it did
		Elsewhere   bool   // from another network than this browser
		Action      string
		Ticket      string
	}

	// approvalsView lists what applications wait for.
	approvalsView struct {
		Account page.Navigation
		Notice  string // what was done last; "" nothing
		Action  string
		Again   string // this page
		SignIn  string // where a sign-in is answered that waits for an approval; "" none does
		Waiting []approval
	}

	approval struct {
		Application, Message string
		Asks                 []ask
		Begun, Ticket        string
		More                 bool // has to be proved before it can be allowed
	}

	// questionView asks what an application may do.
	questionView struct {
		Acting                *page.Acting
		Application, Initials string
		Unverified            bool           // registered itself: nobody has looked at it
		Document              string         // URL that describes it, if that is all that is known
		Items                 []consent.Item // go together
		Choices               []consent.Item // can be left out
		APIs                  string
		Target                string // where the person is sent back to
		Policy, Terms         string // links of the application's own; "" none
		Person                person
		Action, Question      string
	}

	// connectedView lists which applications hold something.
	connectedView struct {
		Account     page.Navigation
		Notice      string
		Action      string
		Connections []connection
	}

	connection struct {
		ID, Application, Initials string
		Asks                      []ask
		Since, Until              string
	}

	// messageView is a page that only tells something and leads on.
	messageView struct{ Title, Detail, Link, Label string }

	// ask is something that an application may do, in plain words.
	ask struct {
		Text     string
		Language string // that Text is in, if it is not the page's; else ""
	}

	// person is who is signed in.
	person struct{ Name, Login string }
)

var (
	userCodePage  = page.Page[userCodeView](site, "templates/user_code.html", "templates/person.html")
	devicePage    = page.Page[deviceView](site, "templates/device.html", "templates/person.html", "templates/asks.html")
	approvalsPage = page.Page[approvalsView](site, "templates/approvals.html", "templates/asks.html")
	questionPage  = page.Page[questionView](site, "templates/question.html")
	connectedPage = page.Page[connectedView](site, "templates/connected.html", "templates/asks.html")
	messagePage   = page.Page[messageView](site, "templates/message.html")
)

// shown is how a page names u.
func shown(u *directory.User) person {
	p := person{Name: u.Name, Login: u.Username}
	if p.Name == "" {
		p.Name = u.Username
	}
	if u.Email != "" {
		p.Login = u.Email
	}
	return p
}

// account is the navigation of the person's own pages, at one of them.
func account(r *http.Request, u *directory.User, at string, acting bool) page.Navigation {
	p := shown(u)
	return page.Navigation{Base: page.Base(r), At: at, Name: p.Name, Login: p.Login, Acting: acting}
}

// asks says in plain words what scopes are for. One that only its name is known of is shown
// by that: to hide it would be worse.
func (p *Pages) asks(r *http.Request, scopes []string) (words []ask, err error) {
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		words = nil
		for _, name := range scopes {
			s, err := resource.Describe(tx, identity.TenantFrom(r.Context()).ID, name)
			if err != nil {
				return err
			}
			text, lang := s.Texts.In(string(page.Language(r)))
			if text == "" {
				words = append(words, ask{Text: site.Text(r, "scope.other", name)})
				continue
			}
			words = append(words, ask{text, foreign(r, lang)})
		}
		return nil
	})
	return words, err
}

// asksOf is asks for all that a grant would give: the authorization details too, each in its
// own words with what is particular about it, and the APIs that it is good at.
func (p *Pages) asksOf(r *http.Request, app *federation.Application, g *family.Grant) ([]ask, error) {
	words, err := p.asks(r, g.Scope)
	if err != nil || len(g.Details)+len(g.Resources) == 0 {
		return words, err
	}
	var more []ask
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		in, err := consent.Describe(tx, app, &consent.Question{Tenant: app.Tenant, Resources: g.Resources, Details: g.Details}, string(page.Language(r)))
		if err != nil {
			return err
		}
		more = nil
		for _, item := range in.Items {
			parts := []string{item.Text}
			for _, l := range item.Lines {
				parts = append(parts, l.Label+": "+l.Value)
			}
			more = append(more, ask{strings.Join(parts, " · "), foreign(r, item.Language)})
		}
		for _, api := range in.APIs {
			more = append(more, ask{Text: site.Text(r, "asks.api", api)})
		}
		return nil
	})
	return append(words, more...), err
}

// foreign is the language of a text, if it is not the one of the page: what reads a page aloud is told then.
func foreign(r *http.Request, lang string) string {
	if lang == string(page.Language(r)) {
		return ""
	}
	return lang
}

// origin is where a request came from, as far as its sender let it be known.
func origin(r *http.Request, from identity.Request) string {
	switch {
	case from.IP == "":
		return site.Text(r, "from.unknown")
	case from.UserAgent == "":
		return from.IP
	}
	return site.Text(r, "from.agent", from.IP, identity.Printable(from.UserAgent, 80))
}

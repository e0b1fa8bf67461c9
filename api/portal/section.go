package portal

import (
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
)

const securityPath = "/account/security"

// A Section is one way of proving who one is, as it stands on /account/security.
type Section interface {
	// Card says what v has of it. A card without a title is left out.
	Card(tx *fsm.Tx, r *http.Request, v *Visitor) (Card, error)
	// Routes mounts its own pages, which stand under /account/security/, or for a section
	// without a card elsewhere under /account/.
	Routes(handle, unattended Mount)
}

// A Mount has a handler answer a pattern of http.ServeMux within the tenant. One that is
// unattended is for what scripts ask by themselves: asking does not keep a session from being
// idle, and who is not signed in is told so and not led to sign in.
type Mount func(pattern string, h Handler)

// A Card is what the page shows of a section. Paths in it are within the tenant.
type Card struct {
	Title   string
	Lead    string     // one or two sentences: what it is good for
	Notice  string     // what was done last; see Visitor.Done
	Alert   page.Alert // why it was not
	Rows    []Row
	Actions []Action
}

// A Row is one thing that the person has.
type Row struct {
	Name    string
	Mark    string   // a word that sets it apart: "this device"
	Facts   []string // short: when it was added, when it was used last
	Actions []Action
}

// An Action leads somewhere, or does something at once.
type Action struct {
	Label string
	Names string            // Label with what it is about, for who hears the page; "": Label says it
	Path  string            // that the link leads to or the form is posted to
	Post  bool              // a form: it changes something
	Form  map[string]string // fields of the form
	Main  bool              // the first thing to do here
}

type securityView struct {
	Account page.Navigation
	Notice  string
	Cards   []Card
}

// showSecurity shows all sections.
func (p *Portal) showSecurity(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	view := securityView{Account: v.Account(r, "security")}
	switch v.Done {
	case disowned, passwordAfter + disowned:
		view.Notice = site.Text(r, "security.disowned")
	case refused, passwordAfter + refused:
		view.Notice = site.Text(r, "security.refused")
	case "recovery-stopped":
		view.Notice = site.Text(r, "recovery.stopped")
	}
	err := p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		unreached, err := p.unreached(tx, r, v)
		if err != nil {
			return err
		}
		if view.Cards = nil; unreached.Title != "" {
			view.Cards = append(view.Cards, unreached)
		}
		for _, s := range p.sections {
			c, err := s.Card(tx, r, v)
			if err != nil {
				return err
			}
			if c.Title != "" {
				c = c.under(page.Base(r))
				c.Actions = v.may(c.Actions...)
				for i := range c.Rows {
					c.Rows[i].Actions = v.may(c.Rows[i].Actions...)
				}
				view.Cards = append(view.Cards, c)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return securityPage.Write(w, r, http.StatusOK, view)
}

// may are those of actions that v can do: who acts as somebody else, none.
func (v *Visitor) may(actions ...Action) []Action {
	if v.Impersonation != nil {
		return nil
	}
	return actions
}

// under makes the paths in c those of a tenant.
func (c Card) under(base string) Card {
	c.Actions = under(base, c.Actions)
	rows := make([]Row, len(c.Rows))
	for i, row := range c.Rows {
		row.Actions = under(base, row.Actions)
		rows[i] = row
	}
	c.Rows = rows
	return c
}

func under(base string, actions []Action) []Action {
	out := make([]Action, len(actions))
	for i, a := range actions {
		a.Path = base + a.Path
		out[i] = a
	}
	return out
}

package page

import (
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"text/template/parse"

	"github.com/quis-idp/quis/identity/language"
)

// Texts are the English sentences of a site by key; see package language for what may
// stand in them, and for how they are translated. Templates escape them.
type Texts map[string]string

// Text says the sentence at key, which must be there, in the language of who sent r.
func (s *Site) Text(r *http.Request, key string, args ...any) string {
	text, err := s.text(Language(r), key, args...)
	if err != nil {
		panic("page: " + err.Error())
	}
	return text
}

func (s *Site) text(t language.Tag, key string, args ...any) (string, error) {
	if s.texts.Has(key) {
		return s.texts.Text(t, key, args...)
	}
	return shared.Text(t, key, args...)
}

// Faults says what is wrong with the translations of the site's texts, and with its pages.
func (s *Site) Faults() []string {
	faults := s.texts.Faults()
	for _, check := range s.pages {
		if err := check(); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

// check reports the first text that a template asks for and the site does not have.
func (s *Site) check(t *template.Template) error {
	for _, key := range Keys(t) {
		if !s.texts.Has(key) && !shared.Has(key) {
			return fmt.Errorf("there is no text %q", key)
		}
	}
	return nil
}

// Keys returns the keys of the texts that t and the templates beside it name, sorted.
func Keys(t *template.Template) []string {
	keys := map[string]bool{}
	for _, sub := range t.Templates() {
		if sub.Tree != nil {
			visit(sub.Tree.Root, keys)
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// Keys returns the keys of the texts that the page names, with those of the layout.
func (t *Template[T]) Keys() []string { return Keys(template.Must(t.parse(nothing))) }

func visit(n parse.Node, keys map[string]bool) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, sub := range n.Nodes {
				visit(sub, keys)
			}
		}
	case *parse.ActionNode:
		visit(n.Pipe, keys)
	case *parse.TemplateNode:
		visit(n.Pipe, keys)
	case *parse.IfNode:
		visitBranch(&n.BranchNode, keys)
	case *parse.WithNode:
		visitBranch(&n.BranchNode, keys)
	case *parse.RangeNode:
		visitBranch(&n.BranchNode, keys)
	case *parse.PipeNode:
		if n != nil {
			for _, c := range n.Cmds {
				visit(c, keys)
			}
		}
	case *parse.CommandNode:
		visitCommand(n, keys)
	}
}

func visitBranch(n *parse.BranchNode, keys map[string]bool) {
	visit(n.Pipe, keys)
	visit(n.List, keys)
	visit(n.ElseList, keys)
}

func visitCommand(n *parse.CommandNode, keys map[string]bool) {
	if f, ok := n.Args[0].(*parse.IdentifierNode); ok && f.Ident == "t" && len(n.Args) > 1 {
		if key, ok := n.Args[1].(*parse.StringNode); ok {
			keys[key.Text] = true
		}
	}
	for _, a := range n.Args {
		visit(a, keys)
	}
}

// shared are the texts of the layout and of the error pages.
var shared = language.New(Texts{
	"password.hint":   "At least %d characters. Longer is better: a few words of your own are easy to keep and hard to guess.",
	"form.unreadable": "Your browser sent something that could not be read. Go back and try again.",
	"layout.home":     "quis, home",
	"layout.language": "Language",
	"layout.skip":     "Skip to the content",
	"form.check":      "Something needs another look.",
	"form.back":       "Back",
	"password.good":   "This can be your password.",
	"password.show":   "Show",
	"password.hide":   "Hide",

	"account.nav":          "Your account",
	"account.profile":      "Profile",
	"account.security":     "Security",
	"account.sessions":     "Devices and sessions",
	"account.activity":     "Activity",
	"account.applications": "Connected applications",
	"account.approvals":    "Waiting for you",
	"account.tokens":       "Access tokens",
	"account.apps":         "My apps",
	"account.sign_out":     "Sign out",
	"account.asked":        "Somebody wants to sign in as you. Is it you?",
	"account.acting":       "You are acting as this person. What you do is recorded with your name. In their account you can only look.",
	"account.acting.end":   "Stop acting as this person",

	"error.reference":      "Reference",
	"error.reference.hint": "Give this to your administrator, who can look up what happened.",
	"error.home":           "Go to the start page",

	"error.400.title":  "This does not look right",
	"error.400.detail": "What your browser sent cannot be used. Go back and try again from where you came from.",
	"error.401.title":  "You need to sign in",
	"error.401.detail": "Sign in first, then come back to this page.",
	"error.403.title":  "This is not open to you",
	"error.403.detail": "You are not allowed to do this. If you think you should be, ask your administrator.",
	"error.404.title":  "There is nothing here",
	"error.404.detail": "The address may be mistyped, or what was here has gone.",
	"error.405.title":  "That does not work here",
	"error.405.detail": "This address cannot be used in that way. Go back and try again from where you came from.",
	"error.409.title":  "Someone else was faster",
	"error.409.detail": "This has changed in the meantime. Go back, look again, and repeat what you wanted to do.",
	"error.413.title":  "That is too much at once",
	"error.413.detail": "What your browser sent is larger than this page accepts.",
	"error.429.title":  "Please wait a little",
	"error.429.detail": "There were too many attempts. Try again in a while.",
	"error.500.title":  "Something went wrong on our side",
	"error.500.detail": "It is not your fault. Try again; if it happens again, tell your administrator.",
	"error.503.title":  "We will be right back",
	"error.503.detail": "This cannot be done at the moment. Wait a few seconds and try again.",
}, kit)

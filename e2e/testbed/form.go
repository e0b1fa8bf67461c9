package testbed

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// A Form is one form of a page, with what would be sent if nobody touched it.
type Form struct {
	Method  string // GET or POST
	Action  string
	Fields  url.Values
	Buttons []Button // in the order of the page
	Names   []string // of every field, also of those that are not sent
}

// A Button sends its form, with a field of its own if it has a name.
type Button struct{ Name, Value, Text string }

// FormWith returns the first form that has a field or button of that name, or nil.
func (p *Page) FormWith(name string) *Form {
	for _, f := range p.Forms {
		if slices.Contains(f.Names, name) || slices.ContainsFunc(f.Buttons, func(b Button) bool { return b.Name == name }) {
			return f
		}
	}
	return nil
}

// agreeing are the words on, or the values of, the buttons that a person who
// agrees to everything presses.
var agreeing = []string{"allow", "approve", "accept", "yes", "continue"}

// agree finds a form with a button that says yes, and what pressing it adds.
func (p *Page) agree() (*Form, map[string][]string) {
	for _, f := range p.Forms {
		for _, b := range f.Buttons {
			if slices.Contains(agreeing, strings.ToLower(b.Value)) || slices.Contains(agreeing, strings.ToLower(b.Text)) {
				if b.Name == "" {
					return f, nil
				}
				return f, map[string][]string{b.Name: {b.Value}}
			}
		}
	}
	return nil, nil
}

// read parses the page for what a browser does without being asked, and for forms.
func (p *Page) read() error {
	doc, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		return err
	}
	var form *Form
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "meta":
			if strings.EqualFold(attr(n, "http-equiv"), "refresh") && p.refresh == "" {
				_, p.refresh, _ = strings.Cut(attr(n, "content"), "url=")
			}
		case "iframe":
			if src := attr(n, "src"); src != "" {
				p.frames = append(p.frames, src)
			}
		case "a":
			if href := attr(n, "href"); strings.Contains(href, "another=yes") {
				p.another = href
			}
		case "form":
			form = &Form{Method: http.MethodGet, Action: attr(n, "action"), Fields: url.Values{}}
			if strings.EqualFold(attr(n, "method"), "post") {
				form.Method = http.MethodPost
			}
			p.Forms = append(p.Forms, form)
		case "input", "select", "textarea", "button":
			if form != nil && within(n, "form") {
				form.add(n)
			}
		}
	}
	return nil
}

func (f *Form) add(n *html.Node) {
	name, kind := attr(n, "name"), strings.ToLower(attr(n, "type"))
	if n.Data == "button" && (kind == "" || kind == "submit") || n.Data == "input" && kind == "submit" {
		f.Buttons = append(f.Buttons, Button{Name: name, Value: attr(n, "value"), Text: strings.TrimSpace(text(n))})
		return
	}
	if name == "" || n.Data == "button" {
		return
	}
	f.Names = append(f.Names, name)
	switch {
	case kind == "checkbox" || kind == "radio":
		if has(n, "checked") {
			value := attr(n, "value")
			if value == "" {
				value = "on"
			}
			f.Fields.Add(name, value)
		}
	case n.Data == "textarea":
		f.Fields.Add(name, text(n))
	case n.Data == "select":
		for o := range n.Descendants() {
			if o.Data == "option" && (has(o, "selected") || !f.Fields.Has(name)) {
				f.Fields.Set(name, attr(o, "value"))
			}
		}
	default:
		f.Fields.Add(name, attr(n, "value"))
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func within(n *html.Node, tag string) bool {
	for n = n.Parent; n != nil; n = n.Parent {
		if n.Data == tag {
			return true
		}
	}
	return false
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

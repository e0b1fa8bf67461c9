package page

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/quis-idp/quis/identity"
)

// A Field is one input of a form with everything that belongs to it; the template
// "field" draws it.
type Field struct {
	Name         string
	Label        string
	Type         string // of the input; "" is text
	Value        string
	Autocomplete string // what password managers and browsers may fill in
	Hint         string // what to type, shown before anything goes wrong
	Error        string // what is wrong with Value
	Describes    string // ID of another element that explains this input, such as the alert above the form
	Focus        bool   // the cursor starts here
	Numeric      bool   // digits only: phones show their keypad for numbers
	Optional     bool   // may stay empty
	Fixed        bool   // is shown, and not to be changed
	Later        bool   // is in the form, but hidden until its turn; see later.js
	Check        string // where what is typed is judged meanwhile, of a new password; see CheckPath
}

// CheckPath is where a script asks what there is to be said of a new password, in the language
// of the page that r is answered with.
func CheckPath(r *http.Request) string {
	return Base(r) + "/password/check?" + url.Values{choiceParameter: {string(Language(r))}}.Encode()
}

// maxTyped bounds what is given back of what was typed, in bytes.
const maxTyped = 256

// Typed is what is given back of what somebody typed: as much as a form shows, and nothing that cannot be printed.
func Typed(text string) string { return identity.Printable(text, maxTyped) }

// An Alert is a message above a form that says what went wrong and what to do; the
// template "alert" draws it, and nothing if it is empty. The person starts at it, or at a field.
type Alert struct {
	Text    string
	Faults  []Fault // what is wrong where, if it is more than the text says
	AtField bool    // the person starts at a field, whose description says it
}

// A Fault is one line of an alert, which leads to its field.
type Fault struct{ Name, Label, Text string }

// Wrong has the alert say what is wrong with the field, where the person then starts.
func (f *Field) Wrong(alert *Alert, text string) {
	alert.Text, alert.AtField = text, f.Name != "" // some forms have nothing to be typed
	f.Describes, f.Focus = "alert", true
}

// Start has the person start at the field that says what is wrong with it, if it is the only one and
// all that is wrong, and otherwise at the alert. Those are the fields of the form.
func (a *Alert) Start(fields ...*Field) {
	if a.Text == "" {
		return
	}
	wrong := slices.DeleteFunc(slices.Clone(fields), func(f *Field) bool { return f.Error == "" })
	a.AtField = len(wrong) == 1 && !slices.ContainsFunc(a.Faults, func(f Fault) bool { return f.Name == "" })
	for _, f := range fields {
		f.Focus = a.AtField && f == wrong[0]
	}
}

// Refuse puts what is wrong with a form beside its fields and sums it up in the alert.
// What belongs to none of the fields stands in the alert only. See Start.
func Refuse(r *http.Request, alert *Alert, faults []*identity.Error, fields ...*Field) {
	lines := make([]Fault, len(fields)) // in the order of the page
	for _, fault := range faults {
		text := Detail(r, fault)
		i := slices.IndexFunc(fields, func(f *Field) bool { return f.Name == fault.Field })
		if i < 0 {
			alert.Faults = append(alert.Faults, Fault{Text: text})
			continue
		}
		if f := fields[i]; f.Error == "" {
			f.Error = text
			lines[i] = Fault{f.Name, f.Label, text}
		}
	}
	for _, line := range lines {
		if line.Text != "" {
			alert.Faults = append(alert.Faults, line)
		}
	}
	switch {
	case len(faults) == 0:
		return
	case alert.Text != "":
	case len(alert.Faults) == 1 && alert.Faults[0].Name == "":
		alert.Text, alert.Faults = alert.Faults[0].Text, nil
	default:
		alert.Text = errorSite.Text(r, "form.check")
	}
	alert.Start(fields...)
}

// Form reads the body of r, and only that: a field in the query would be one that a link can
// set, and one in history and logs.
func Form(r *http.Request) (url.Values, error) {
	err := r.ParseForm()
	if err == nil {
		return r.PostForm, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, err
	}
	return nil, Unreadable(r)
}

// Unreadable says that a form is none that our pages send.
func Unreadable(r *http.Request) error {
	return identity.Invalid("", errorSite.Text(r, "form.unreadable"))
}

// Onward leads to a path of ours. After a form post a browser follows too if its policy says
// so: it is our own origin. Where the way may end at another, see [Leave].
func Onward(w http.ResponseWriter, r *http.Request, to string) error {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

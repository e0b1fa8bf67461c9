package page

// A Navigation leads through a person's own pages, which more than one room shows;
// the template "account" draws it. It belongs at the head of "main", and what the page
// shows in an element of class column behind it.
type Navigation struct {
	Base  string // of the tenant's paths, see [Base]
	At    string // which page this is: the last part of its text's key, such as "sessions"
	Name  string // who is signed in
	Login string
}

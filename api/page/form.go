package page

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
}

// An Alert is a message above a form that says what went wrong and what to do; the
// template "alert" draws it, and nothing if it is empty.
type Alert struct{ Text string }

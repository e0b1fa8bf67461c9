// Package page is the kit of the server-rendered pages: layout, typed templates, texts,
// assets under hashed names, and error pages.
//
// A room declares a [Site]: its template files, its texts in one English table, and their
// translations in texts/de.json and so on (see package language). Each page is a
// [Template] of one struct type, so a handler cannot forget a value and a template cannot
// ask for one that is not there without its test failing. Templates hold no sentence:
// {{t "key"}} takes it from the table in the [Language] of the request, code takes it with
// [Site.Text], and a key that is missing stops the process at its start, not a person at
// the door. pagetest.Translated tells what the translations lack.
//
// Every answer carries [ContentSecurityPolicy]; therefore nothing may be inline: no style
// attribute, no script, no event handler. Pages work without JavaScript. Colours follow
// the system, light or dark; the layout holds at a width of 320 px.
//
// A form that was refused says so in an [Alert] above it (role=alert), and beside each field
// that is wrong (aria-describedby). Where the person starts decides who hears of it: what is
// there when a page is loaded is read by few screen readers, what has the focus by all.
// If one field is wrong and nothing else, they start there: its description says what is wrong,
// they can type at once, and a telephone shows its keys. An alert first would cost everybody a
// step more at what goes wrong most, a password or a code. If several are wrong, or what is
// wrong belongs to no field, they start at the alert, which leads to each of them (see [Refuse]
// and [Field.Wrong]). pagetest.Told holds every page that a test is answered against this.
//
// Not here: what the pages say and do (api/login and its siblings), and errors for
// machines (api/problem).
package page

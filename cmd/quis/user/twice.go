package user

import (
	"cmp"
	"strings"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/identity/directory"
)

// earlier are the usernames and addresses, as the directory compares them, of those whom the
// file so far would create, with where they are in it.
type earlier map[[2]string]string

// each calls do for the username and the address of a user, with the name of the field. Who has no
// username is called by the address.
func (r *record) each(do func(key [2]string)) {
	text := func(field string) string { s, _ := r.user[field].(string); return strings.TrimSpace(s) }
	name, address := directory.UserKeys(cmp.Or(text("username"), text("email")), text("email"))
	for _, key := range [][2]string{{"username", name}, {"email", address}} {
		if key[1] != "" {
			do(key)
		}
	}
}

func twice(field, at string) string { return field + ": twice in this file, first in " + at }

// mark finds who of part is in an earlier one: they are passed over if skip says so, and else refused.
func (e earlier) mark(part []record, skip bool) {
	for i := range part {
		r := &part[i]
		if len(r.faults) > 0 {
			continue
		}
		r.each(func(key [2]string) {
			at, taken := e[key]
			switch {
			case !taken:
			case skip:
				r.skip = true
			default:
				r.faults = append(r.faults, twice(key[0], at))
			}
		})
	}
}

// note takes in whom of part the node creates, by what became of each, and says of those who are taken by
// them that they are twice in the file: the node knows no file.
func (e earlier) note(part []record, outcomes []client.ImportedRow) {
	for i := range part {
		r, o := &part[i], &outcomes[i]
		r.each(func(key [2]string) {
			at, taken := e[key]
			for n, f := range r.faults {
				if taken && o.Exists && strings.HasPrefix(f, key[0]+" is taken") {
					r.faults[n], o.Exists = twice(key[0], at), false
				}
			}
		})
		if o.Outcome == "created" {
			r.each(func(key [2]string) { e[key] = r.at })
		}
	}
}

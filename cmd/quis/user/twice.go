package user

import (
	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/identity/directory"
)

// earlier are the usernames and addresses, as the directory compares them, of those whom the parts
// of the file before would create, with where they are in it. Within a part the node finds who is
// there twice.
type earlier map[[2]string]string

// each calls do for the username and the address of a user, with the name of the field.
func (r *record) each(do func(key [2]string)) {
	text := func(field string) string { s, _ := r.user[field].(string); return s }
	name, address := directory.UserKeys(text("username"), text("email"))
	for _, key := range [][2]string{{"username", name}, {"email", address}} {
		if key[1] != "" {
			do(key)
		}
	}
}

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
				r.faults = append(r.faults, key[0]+": "+at+" of this file has it already")
			}
		})
	}
}

// note takes in whom of part the node would create, by what became of each.
func (e earlier) note(part []record, outcomes []client.ImportedRow) {
	for i := range part {
		if outcomes[i].Outcome == "created" {
			part[i].each(func(key [2]string) { e[key] = part[i].at })
		}
	}
}

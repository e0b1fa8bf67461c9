package user

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

const (
	maxImport = 64 << 20 // bytes of a file
	told      = 1000     // users, after which it is said how far it is
)

// An importing is `quis user import` with its flags.
type importing struct {
	dry, skip bool
	errors    string
}

func importCommand() *cobra.Command {
	var i importing
	c := line.Online(&cobra.Command{
		Use:   "import FILE",
		Short: "Create users from a CSV or JSON file",
		Long: "The first line of a CSV file names the fields, as `quis user set --fields` has them, and groups: names with | between\n" +
			"them (\\| is a | in a name, and \\\\ a \\), of at most 100 groups that are there: `quis group create` makes them. A JSON file is a list of objects. What is refused keeps nobody else out; --errors writes those users as they are,\n" +
			"with what is wrong, to a new file of the same form, which can be corrected and imported. - is standard input, as CSV.\n" +
			"Nobody who is there is changed.",
		Example: "  quis user import people.csv --dry-run\n  quis user import people.csv --errors refused.csv",
		Args:    line.Exactly("a CSV or JSON file"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error { return i.run(cmd, args[0]) }
	c.Flags().BoolVar(&i.dry, "dry-run", false, "say what would happen; make nothing")
	c.Flags().BoolVar(&i.skip, "skip-existing", false, "pass over users whose name or address is taken")
	c.Flags().StringVar(&i.errors, "errors", "", "write the users that were refused to this new file")
	return c
}

// A record is what the file says of one user.
type record struct {
	at     string // where: "line 3", "user 2"
	user   map[string]any
	faults []string // what is wrong with it: found here, or else by the node
	skip   bool     // it is somebody of an earlier part of the file, and such are passed over

	head, cells []string // of CSV: the first line and this one as they are, without errors
}

func (i *importing) run(cmd *cobra.Command, file string) error {
	c, err := line.Connect(cmd)
	if err != nil {
		return err
	}
	fields, err := c.Users.ImportFields(cmd.Context())
	if err != nil {
		return err
	}
	users, err := load(cmd, file, fields)
	if err != nil {
		return err
	}
	if i.errors != "" {
		if isJSON(i.errors) != isJSON(file) { // what is wrong with a line can be said in lines only
			return line.Usage(cmd, "%s must be of the form of %s, CSV or JSON", i.errors, file)
		}
		if _, err := os.Lstat(i.errors); err == nil {
			return line.Exit{Code: line.Conflict, Text: i.errors + " exists already, perhaps from a dry run: nothing was imported. Name a new file, or remove that one"}
		}
	}
	total, err := i.send(cmd, c, users)
	if werr := i.write(users); werr != nil {
		err = errors.Join(err, werr)
	}
	if err != nil {
		return err
	}
	would := ""
	if i.dry {
		would = "would be "
	}
	if err := line.Emit(cmd, total, nil, func(row func(...any)) {
		row(would+"created", total.Created)
		row(would+"skipped", total.Skipped)
		row(would+"refused", total.Refused)
	}); err != nil {
		return err
	}
	return i.end(cmd, file, len(users), total)
}

// end says what the figures do not.
func (i *importing) end(cmd *cobra.Command, file string, users int, total client.Imported) error {
	verb, next := "are", "correct and import that"
	if i.dry {
		verb, next = "would be", "correct them in "+file+", or import "+file+" as it is and then that, corrected"
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was made: this was a dry run.")
	}
	there := 0
	for _, r := range total.Rows {
		if r.Exists {
			there++
		}
	}
	if there > 0 {
		have := "have"
		if there == 1 {
			have = "has"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%d of those that %s refused %s a name or an address that is taken, perhaps by themselves from an earlier import: --skip-existing passes over them.\n", there, verb, have)
	}
	if total.Refused == 0 {
		return nil
	}
	where := "--errors FILE writes them to a file"
	if i.errors != "" {
		where = "they are in " + i.errors + ": " + next
	}
	return line.Exit{Code: line.Failed, Text: fmt.Sprintf("%d of %d users %s refused; %s", total.Refused, users, verb, where)}
}

// send imports in parts, which the node takes one transaction each, and notes what it refuses.
func (i *importing) send(cmd *cobra.Command, c *client.Client, users []record) (total client.Imported, err error) {
	total.Rows = []client.ImportedRow{}
	w, done := cmd.ErrOrStderr(), 0
	before := earlier{}
	for part := range parts(users) {
		if i.dry { // the node has made nobody of the parts before
			before.mark(part, i.skip)
		}
		if err := i.sendPart(cmd, c, part, &total); err != nil {
			kept := "what is made already stays; go on with --skip-existing"
			if i.dry {
				kept = "nothing was made: this was a dry run"
			}
			return total, fmt.Errorf("after %d of %d users: %w (%s)", done, len(users), err, kept)
		}
		before.note(part, total.Rows[done:])
		for _, r := range part {
			if len(r.faults) > 0 {
				fmt.Fprintf(w, "%s %s: %s\n", r.at, line.Plain(name(r.user)), line.Plain(strings.Join(r.faults, "; ")))
			}
		}
		if done += len(part); done/told > (done-len(part))/told {
			fmt.Fprintf(w, "%d of %d users\n", done, len(users))
		}
	}
	return total, nil
}

// maxPart is how many bytes of JSON the users of one request are at most, so that the node takes it.
const maxPart = 128 << 10

// parts divides users into what one request takes.
func parts(users []record) iter.Seq[[]record] {
	return func(yield func([]record) bool) {
		from, joined, size := 0, 0, 0
		for i, r := range users {
			j, n := groupsOf(r), sizeOf(r)
			if i-from == client.MaxImport || i > from && (joined+j > client.MaxJoined || size+n > maxPart) {
				if !yield(users[from:i]) {
					return
				}
				from, joined, size = i, 0, 0
			}
			joined, size = joined+j, size+n
		}
		if from < len(users) {
			yield(users[from:])
		}
	}
}

// groupsOf is how many groups a user is to be put in.
func groupsOf(r record) int {
	switch v := r.user["groups"].(type) {
	case []string:
		return len(v)
	case []any:
		return len(v)
	}
	return 0
}

// sizeOf is how many bytes a user is in a request.
func sizeOf(r record) int {
	b, _ := json.Marshal(r.user) // what was read is written
	return len(b)
}

// sendPart sends those of part that nothing is known to be wrong with, and adds what became of all.
func (i *importing) sendPart(cmd *cobra.Command, c *client.Client, part []record, total *client.Imported) error {
	var send []map[string]any
	for _, r := range part {
		if len(r.faults) == 0 && !r.skip {
			send = append(send, r.user)
		}
	}
	got := &client.Imported{}
	if len(send) > 0 {
		ctx, cancel := line.Asking(cmd)
		defer cancel()
		var err error
		if got, err = c.Users.Import(ctx, client.Import{Users: send, DryRun: i.dry, SkipExisting: i.skip}); err != nil {
			return err
		}
		if len(got.Rows) != len(send) {
			return fmt.Errorf("the node tells of %d users, and was sent %d", len(got.Rows), len(send))
		}
	}
	total.Created, total.Skipped, total.Refused = total.Created+got.Created, total.Skipped+got.Skipped, total.Refused+got.Refused
	rows := got.Rows
	for n := range part {
		r := &part[n]
		if r.skip {
			total.Skipped++
			total.Rows = append(total.Rows, client.ImportedRow{Outcome: "skipped"})
			continue
		}
		if len(r.faults) > 0 {
			total.Refused++
			total.Rows = append(total.Rows, client.ImportedRow{Outcome: "refused", Faults: r.faults})
			continue
		}
		r.faults = rows[0].Faults
		total.Rows, rows = append(total.Rows, rows[0]), rows[1:]
	}
	return nil
}

func name(u map[string]any) string {
	for _, f := range []string{"username", "email"} {
		if s, _ := u[f].(string); s != "" {
			return s
		}
	}
	return "without a name"
}

func load(cmd *cobra.Command, file string, fields map[string]client.Field) ([]record, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxImport+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxImport {
		return nil, fmt.Errorf("%s is larger than %d MiB; split it", file, maxImport>>20)
	}
	users, err := parse(data, isJSON(file), fields)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return users, nil
}

// write puts what was refused, and why, where --errors says: a file of its owner, as users may
// come with hashes of their passwords.
func (i *importing) write(users []record) (err error) {
	refused := slices.DeleteFunc(slices.Clone(users), func(r record) bool { return len(r.faults) == 0 })
	if i.errors == "" || len(refused) == 0 {
		return nil
	}
	f, err := os.OpenFile(i.errors, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if !isJSON(i.errors) {
		return writeRefused(f, refused)
	}
	rows := make([]map[string]any, len(refused))
	for n, r := range refused {
		rows[n] = map[string]any{reasons: strings.Join(r.faults, "; ")}
		for k, v := range r.user {
			rows[n][k] = v
		}
	}
	return line.WriteJSON(f, rows)
}

func isJSON(file string) bool { return strings.EqualFold(filepath.Ext(file), ".json") }

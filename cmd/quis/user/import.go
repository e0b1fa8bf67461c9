package user

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/assign"
	"github.com/quis-idp/quis/cmd/quis/line"
)

const maxImport = 64 << 20 // bytes of a file

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
			"them. A JSON file is a list of objects. What is refused keeps nobody else out; --errors writes those users, with what is\n" +
			"wrong, to a new file of the same form, which can be corrected and imported. - is standard input, as CSV.",
		Example: "  quis user import people.csv --dry-run\n  quis user import people.csv --errors refused.csv",
		Args:    line.Exactly("a CSV or JSON file"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error { return i.run(cmd, args[0]) }
	c.Flags().BoolVar(&i.dry, "dry-run", false, "say what would happen; make nothing")
	c.Flags().BoolVar(&i.skip, "skip-existing", false, "pass over users whose name or address is taken")
	c.Flags().StringVar(&i.errors, "errors", "", "write the users that were refused to this new file")
	return c
}

// A refusal is a user that was refused, and why.
type refusal struct {
	row    int // in the file, from 1
	user   map[string]any
	faults []string
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
		if _, err := os.Lstat(i.errors); err == nil {
			return line.Exit{Code: line.Conflict, Text: i.errors + " exists already; name a new file"}
		}
	}
	total, refused, err := i.send(cmd, c, users)
	if werr := i.write(refused); werr != nil {
		err = errors.Join(err, werr)
	}
	if err != nil {
		return err
	}
	if err := line.Emit(cmd, total, nil, func(row func(...any)) {
		row("created", total.Created)
		row("skipped", total.Skipped)
		row("refused", total.Refused)
	}); err != nil {
		return err
	}
	if i.dry {
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was made: this was a dry run. Two rows of the file that are the same user are found only when it is imported.")
	}
	if total.Refused > 0 {
		return line.Exit{Code: line.Failed, Text: fmt.Sprintf("%d of %d users refused", total.Refused, len(users))}
	}
	return nil
}

// send imports in parts, which the node takes one transaction each.
func (i *importing) send(cmd *cobra.Command, c *client.Client, users []map[string]any) (total client.Imported, refused []refusal, err error) {
	total.Rows = []client.ImportedRow{}
	w, done := cmd.ErrOrStderr(), 0
	for part := range slices.Chunk(users, client.MaxImport) {
		got, err := i.sendPart(cmd, c, part)
		if err != nil {
			return total, refused, fmt.Errorf("after %d of %d users: %w (what is made already stays; go on with --skip-existing)", done, len(users), err)
		}
		for n, r := range got.Rows {
			if r.Outcome == "refused" && n < len(part) {
				refused = append(refused, refusal{done + n + 1, part[n], r.Faults})
				fmt.Fprintf(w, "user %d %s: %s\n", done+n+1, line.Plain(name(part[n])), line.Plain(strings.Join(r.Faults, "; ")))
			}
		}
		total.Created, total.Skipped, total.Refused = total.Created+got.Created, total.Skipped+got.Skipped, total.Refused+got.Refused
		total.Rows = append(total.Rows, got.Rows...)
		if done += len(part); done%(40*client.MaxImport) == 0 {
			fmt.Fprintf(w, "%d of %d users\n", done, len(users))
		}
	}
	return total, refused, nil
}

func (i *importing) sendPart(cmd *cobra.Command, c *client.Client, part []map[string]any) (*client.Imported, error) {
	ctx, cancel := line.Asking(cmd)
	defer cancel()
	return c.Users.Import(ctx, client.Import{Users: part, DryRun: i.dry, SkipExisting: i.skip})
}

func name(u map[string]any) string {
	for _, f := range []string{"username", "email"} {
		if s, _ := u[f].(string); s != "" {
			return s
		}
	}
	return "without a name"
}

func load(cmd *cobra.Command, file string, fields map[string]client.Field) ([]map[string]any, error) {
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
	users, err := parse(data, strings.EqualFold(filepath.Ext(file), ".json"), fields)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return users, nil
}

// parse reads users from CSV or JSON; fields are those that a user may have. The column
// errors, which --errors adds, is passed over.
func parse(data []byte, isJSON bool, fields map[string]client.Field) ([]map[string]any, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if isJSON {
		var users []map[string]any
		if err := json.Unmarshal(data, &users); err != nil {
			return nil, errors.New("is not a JSON list of objects")
		}
		for i, u := range users {
			delete(u, "errors")
			for f := range u {
				if _, ok := fields[f]; !ok {
					return nil, unknown(fmt.Sprintf("user %d", i+1), f, fields)
				}
			}
		}
		return users, nil
	}
	r := csv.NewReader(bytes.NewReader(data))
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("first line: %w", err)
	}
	for i, f := range head {
		head[i] = strings.ToLower(strings.TrimSpace(f))
		if _, ok := fields[head[i]]; !ok && head[i] != "errors" {
			return nil, unknown("first line", head[i], fields)
		}
		if slices.Contains(head[:i], head[i]) {
			return nil, fmt.Errorf("first line: %s appears twice", head[i])
		}
	}
	var users []map[string]any
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return users, nil
		}
		if err != nil {
			return nil, err // names the line
		}
		u := map[string]any{}
		for i, cell := range cells {
			if cell = strings.TrimSpace(cell); cell == "" || head[i] == "errors" {
				continue
			}
			v, err := value(cell, fields[head[i]])
			if err != nil {
				at, _ := r.FieldPos(i)
				return nil, fmt.Errorf("line %d: %s: %w", at, head[i], err)
			}
			if v != nil {
				u[head[i]] = v
			}
		}
		users = append(users, u)
	}
}

func unknown(where, f string, fields map[string]client.Field) error {
	names := []string{}
	for n := range fields {
		names = append(names, n)
	}
	return fmt.Errorf("%s: there is no field %q%s", where, line.Plain(f), assign.Near(f, names))
}

// value reads a cell; nil if there is nothing in it.
func value(cell string, f client.Field) (any, error) {
	switch f.Type {
	case "boolean":
		switch strings.ToLower(cell) {
		case "true", "yes", "1":
			return true, nil
		case "false", "no", "0":
			return false, nil
		}
		return nil, fmt.Errorf("%q is neither true nor false; nothing was imported", line.Plain(cell))
	case "array":
		list := []string{}
		for e := range strings.SplitSeq(cell, "|") {
			if e = strings.TrimSpace(e); e != "" {
				list = append(list, e)
			}
		}
		if len(list) == 0 {
			return nil, nil
		}
		return list, nil
	}
	return cell, nil
}

// write puts what was refused, and why, where --errors says: a file of its owner, as users may
// come with hashes of their passwords.
func (i *importing) write(refused []refusal) (err error) {
	if i.errors == "" || len(refused) == 0 {
		return nil
	}
	f, err := os.OpenFile(i.errors, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	rows := make([]map[string]any, len(refused))
	for n, r := range refused {
		rows[n] = map[string]any{"errors": strings.Join(r.faults, "; ")}
		for k, v := range r.user {
			rows[n][k] = v
		}
	}
	if strings.EqualFold(filepath.Ext(i.errors), ".json") {
		return line.WriteJSON(f, rows)
	}
	return writeCSV(f, rows)
}

// writeCSV writes rows with a column for each field that one of them has.
func writeCSV(out io.Writer, rows []map[string]any) error {
	var head []string
	for _, r := range rows {
		for f := range r {
			if !slices.Contains(head, f) {
				head = append(head, f)
			}
		}
	}
	slices.SortFunc(head, func(a, b string) int { return cmp.Or(place(a)-place(b), strings.Compare(a, b)) })
	w := csv.NewWriter(out)
	if err := w.Write(head); err != nil {
		return err
	}
	for _, r := range rows {
		cells := make([]string, len(head))
		for i, f := range head {
			cells[i] = cell(r[f])
		}
		if err := w.Write(cells); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// place orders the columns as a person reads them: who it is first, what is wrong last.
func place(field string) int {
	switch i := slices.Index([]string{"username", "email", "name"}, field); {
	case i >= 0:
		return i
	case field == "errors":
		return 9
	}
	return 5
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []string:
		return strings.Join(v, "|")
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = cell(e)
		}
		return strings.Join(parts, "|")
	}
	return fmt.Sprint(v)
}

func exportCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "export",
		Short:   "Write all users to standard output, as CSV or with -o json as JSON",
		Long:    "Passwords and other secrets are not part of it. `quis user import` reads what it writes.",
		Example: "  quis user export > people.csv\n  quis user export -o json > people.json",
		Args:    line.None,
		RunE: line.Answer(func(c *client.Client, ctx context.Context) ([]map[string]any, error) {
			users, err := all(ctx, c, "")
			if err != nil {
				return nil, err
			}
			rows := make([]map[string]any, len(users))
			for i, u := range users {
				rows[i] = map[string]any{
					"username": u.Username, "email": u.Email, "email_verified": u.EmailVerified, "name": u.Name, "given_name": u.GivenName,
					"family_name": u.FamilyName, "locale": u.Locale, "admin": u.Admin, "disabled": u.Disabled,
				}
			}
			return rows, nil
		}, func(cmd *cobra.Command, rows []map[string]any) error {
			if asJSON, err := line.AsJSON(cmd); err != nil || asJSON {
				return errors.Join(err, line.WriteJSON(cmd.OutOrStdout(), rows))
			}
			return writeCSV(cmd.OutOrStdout(), rows)
		}),
	})
}

package user

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/assign"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// reasons is the field in which --errors says what is wrong.
const reasons = "errors"

// parse reads users from CSV or JSON; fields are those that a user may have. The column
// errors, which --errors adds, is passed over. What is wrong with one user is a fault of that
// record; an error is what is wrong with the whole file.
func parse(data []byte, isJSON bool, fields map[string]client.Field) ([]record, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) {
			return nil, fmt.Errorf("line %d is not UTF-8: save the file as such, or convert it (iconv -f windows-1252 -t utf-8)", i+1)
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the file is empty")
	}
	if !isJSON {
		return parseCSV(csv.NewReader(bytes.NewReader(data)), fields)
	}
	var users []map[string]any
	if err := json.Unmarshal(data, &users); err != nil {
		return nil, notJSON(data, err)
	}
	all := make([]record, len(users))
	for i, u := range users {
		all[i] = record{at: fmt.Sprintf("user %d", i+1), user: u}
		delete(u, reasons)
		for f := range u {
			if _, ok := fields[f]; !ok {
				return nil, unknown(all[i].at, f, fields)
			}
		}
	}
	return all, nil
}

// notJSON says where data is no list of objects.
func notJSON(data []byte, err error) error {
	at := func(offset int64) string {
		before := data[:max(0, min(int(offset)-1, len(data)))] // the last byte that was read is the wrong one
		return fmt.Sprintf("line %d, column %d", 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n'))
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%s: %w; it must be a JSON list of objects", at(syntax.Offset), err)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: found a JSON %s; it must be a JSON list of objects", at(wrong.Offset), wrong.Value)
	}
	return errors.New("is not a JSON list of objects")
}

func parseCSV(r *csv.Reader, fields map[string]client.Field) ([]record, error) {
	r.FieldsPerRecord = -1 // a row of another length is a fault of its own
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("first line: %w", err)
	}
	for i, f := range head {
		head[i] = strings.ToLower(strings.TrimSpace(f))
		if _, ok := fields[head[i]]; !ok && head[i] != reasons {
			if strings.ContainsAny(head[i], ";\t") {
				return nil, fmt.Errorf("first line: fields are separated by commas, and not as in %q", line.Plain(f))
			}
			return nil, unknown("first line", head[i], fields)
		}
		if slices.Contains(head[:i], head[i]) {
			return nil, fmt.Errorf("first line: %s appears twice", head[i])
		}
	}
	why := slices.Index(head, reasons)
	head = without(head, why)
	var all []record
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w; nothing was imported", err) // names the line
		}
		at, _ := r.FieldPos(0)
		cells = without(cells, why)
		u := record{at: fmt.Sprintf("line %d", at), user: map[string]any{}, head: head, cells: cells}
		switch n := len(head); {
		case len(cells) == 0 && n > 0:
			u.faults = append(u.faults, fmt.Sprintf("the line is empty: %s is missing", head[0]))
		case len(cells) < n:
			u.faults = append(u.faults, fmt.Sprintf("the line is too short: it ends with %s, and %s is missing", head[len(cells)-1], head[len(cells)]))
		case len(cells) > n:
			u.faults = append(u.faults, fmt.Sprintf("the line is too long: the first line has no field for %q", line.Plain(cells[n])))
		}
		for i, cell := range cells[:min(len(cells), len(head))] {
			u.take(head[i], strings.TrimSpace(cell), fields)
		}
		all = append(all, u)
	}
}

// without is cells less the one at i, if there is one.
func without(cells []string, i int) []string {
	if i < 0 || i >= len(cells) {
		return cells
	}
	return slices.Delete(cells, i, i+1)
}

// take notes what a cell says. One that cannot be read stays as it is, for its name to be told.
func (r *record) take(field, cell string, fields map[string]client.Field) {
	if cell == "" {
		return
	}
	v, err := value(cell, fields[field])
	if err != nil {
		v, r.faults = cell, append(r.faults, fmt.Sprintf("%s: %v", field, err))
	}
	if v != nil {
		r.user[field] = v
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
		return nil, fmt.Errorf("%q is neither true nor false", line.Plain(cell))
	case "array":
		if list := split(cell); len(list) > 0 {
			return list, nil
		}
		return nil, nil
	}
	return cell, nil
}

// split is the entries of a list in a cell: between them is |, \| is one in an entry, and \\ a
// backslash. Any other backslash stands for itself.
func split(cell string) []string {
	list, b := []string{}, strings.Builder{}
	end := func() {
		if e := strings.TrimSpace(b.String()); e != "" {
			list = append(list, e)
		}
		b.Reset()
	}
	for i := 0; i < len(cell); i++ {
		switch next := cell[i+1:]; {
		case cell[i] == '\\' && next != "" && (next[0] == '|' || next[0] == '\\'):
			i++
			b.WriteByte(cell[i])
		case cell[i] == '|':
			end()
		default:
			b.WriteByte(cell[i])
		}
	}
	end()
	return list
}

var escape = strings.NewReplacer(`\`, `\\`, `|`, `\|`)

// joined is the cell that split reads as list.
func joined(list []string) string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = escape.Replace(e)
	}
	return strings.Join(out, "|")
}

// writeRefused writes records of one file as they were, each behind what is wrong with it: the reasons
// come first, so that a line that is too short or too long stays so.
func writeRefused(out io.Writer, refused []record) error {
	w := csv.NewWriter(out)
	if err := w.Write(append([]string{reasons}, refused[0].head...)); err != nil {
		return err
	}
	for _, r := range refused {
		if err := w.Write(append([]string{strings.Join(r.faults, "; ")}, r.cells...)); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
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

// place orders the columns as a person reads them: who it is first.
func place(field string) int {
	if i := slices.Index([]string{"username", "email", "name"}, field); i >= 0 {
		return i
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
		return joined(v)
	}
	return fmt.Sprint(v)
}

package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/quis-idp/quis/identity"
)

const (
	maxDepth  = 16 // of nested JSON values
	maxFaults = 20 // reported for one request
)

// Read checks data against the type of v, then decodes it into v. Unlike
// encoding/json it refuses unknown and repeated members, names in another case, null,
// broken UTF-8 and deep nesting, and it reports every fault with its JSON pointer.
// Members that the type requires may be absent if partial is set.
func Read(data []byte, v any, partial bool) error {
	tree, err := parseJSON(data)
	if err != nil {
		return err
	}
	c := checker{partial: partial}
	c.value("", tree, reflect.TypeOf(v).Elem(), "")
	if err := c.err(); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return identity.Invalid("", "the body does not fit this request") // a value out of its Go type's range
	}
	return nil
}

// Overlay lays a body that Read has passed over the struct that v points to. A list of the
// body takes the place of the former one as a whole (RFC 7396); encoding/json alone would
// decode into its elements, which keep what the new ones do not mention.
func Overlay(data []byte, v any) error {
	if err := clearLists(data, reflect.ValueOf(v).Elem()); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func clearLists(data []byte, v reflect.Value) error {
	var body map[string]json.RawMessage
	if err := json.Unmarshal(data, &body); err != nil {
		return err
	}
	for _, f := range fieldsOf(v.Type()) {
		member, ok := body[f.name]
		if !ok {
			continue
		}
		switch field := v.FieldByIndex(f.index); {
		case field.Kind() == reflect.Slice:
			field.SetZero()
		case field.Kind() == reflect.Struct && f.typ != timeType:
			if err := clearLists(member, field); err != nil {
				return err
			}
		}
	}
	return nil
}

// An object keeps the repeated names of a JSON object, which a map alone would swallow.
type object struct {
	members  map[string]any
	repeated []string
}

func parseJSON(data []byte) (any, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, identity.Invalid("", "a JSON body is required")
	}
	if !utf8.Valid(data) {
		return nil, identity.Invalid("", "the body is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	tree, err := parseValue(d, 0)
	if err == nil {
		if _, next := d.Token(); next != io.EOF {
			err = identity.Invalid("", "there is more after the JSON value")
		}
	}
	return tree, err
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, identity.Invalid("", fmt.Sprintf("the JSON is nested more than %d deep", maxDepth))
	}
	t, err := d.Token()
	if err != nil {
		return nil, syntaxError(d, err)
	}
	switch t {
	case json.Delim('{'):
		o := object{members: map[string]any{}}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, syntaxError(d, err)
			}
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			name := key.(string)
			if _, ok := o.members[name]; ok {
				o.repeated = append(o.repeated, name)
			}
			o.members[name] = v
		}
		return o, closing(d)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, closing(d)
	}
	return t, nil
}

func closing(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return syntaxError(d, err)
	}
	return nil
}

// syntaxError tells where, and never quotes: the body may hold a password.
func syntaxError(d *json.Decoder, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return identity.Invalid("", "the JSON ends too early")
	}
	return identity.Invalid("", fmt.Sprintf("the body is not valid JSON near byte %d", d.InputOffset()))
}

// A checker compares a parsed value with a Go type and the rules in its tags.
type checker struct {
	partial bool
	faults  []error
}

func (c *checker) err() error { return errors.Join(c.faults...) }

func (c *checker) fault(pointer, detail string) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, identity.Invalid(pointer, detail))
	}
}

func (c *checker) value(at string, v any, t reflect.Type, tag reflect.StructTag) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case nil:
		c.fault(at, "must not be null")
	case object:
		c.object(at, v, t)
	case []any:
		if t.Kind() != reflect.Slice || t == rawType {
			c.fault(at, "must be "+kindName(t))
			return
		}
		c.within(at, len(v), tag, "entries")
		for i, e := range v {
			c.value(at+"/"+strconv.Itoa(i), e, t.Elem(), itemTag(tag))
		}
	case string:
		if t.Kind() != reflect.String && t != timeType {
			c.fault(at, "must be "+kindName(t))
			return
		}
		c.text(at, v, t, tag)
	case json.Number:
		c.number(at, v, t, tag)
	case bool:
		if t.Kind() != reflect.Bool {
			c.fault(at, "must be "+kindName(t))
		}
	}
}

func (c *checker) object(at string, o object, t reflect.Type) {
	if t == rawType {
		return
	}
	if t.Kind() == reflect.Map {
		for _, name := range slices.Sorted(maps.Keys(o.members)) {
			c.value(at+"/"+escape(name), o.members[name], t.Elem(), "")
		}
		return
	}
	if t.Kind() != reflect.Struct || t == timeType {
		c.fault(at, "must be "+kindName(t))
		return
	}
	fields := fieldsOf(t)
	for _, name := range o.repeated {
		c.fault(at+"/"+escape(name), "appears more than once")
	}
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 {
			c.fault(at+"/"+escape(name), "is not known here"+suggest(name, fields))
			continue
		}
		c.value(at+"/"+escape(name), o.members[name], fields[i].typ, fields[i].tag)
	}
	for _, f := range fields {
		if _, ok := o.members[f.name]; !ok && !c.partial && f.required() {
			c.fault(at+"/"+f.name, "is required")
		}
	}
}

func (c *checker) text(at, s string, t reflect.Type, tag reflect.StructTag) {
	if t == timeType {
		if _, err := parseTime(s); err != nil {
			c.fault(at, "must be a time as in RFC 3339")
		}
		return
	}
	c.within(at, utf8.RuneCountInString(s), tag, "characters")
	if enum := tag.Get("enum"); enum != "" && !slices.Contains(strings.Split(enum, "|"), s) {
		c.fault(at, "must be one of "+strings.ReplaceAll(enum, "|", ", "))
	}
}

func (c *checker) number(at string, n json.Number, t reflect.Type, tag reflect.StructTag) {
	if !isInteger(t) {
		c.fault(at, "must be "+kindName(t))
		return
	}
	i, err := strconv.Atoi(n.String())
	if err != nil {
		c.fault(at, "must be a whole number")
		return
	}
	c.within(at, i, tag, "")
}

// within checks the tags min and max: of a number its value, of a text or list its length.
func (c *checker) within(at string, n int, tag reflect.StructTag, unit string) {
	if unit != "" {
		unit = " " + unit
	}
	limit, err := strconv.Atoi(tag.Get("min"))
	switch {
	case err != nil || n >= limit:
	case limit == 1 && unit != "":
		c.fault(at, "must not be empty")
	default:
		c.fault(at, fmt.Sprintf("must be at least %d%s", limit, unit))
	}
	if limit, err := strconv.Atoi(tag.Get("max")); err == nil && n > limit {
		c.fault(at, fmt.Sprintf("must be at most %d%s", limit, unit))
	}
}

// itemTag turns the tags of a list about its entries (item_max, enum) into those of an entry.
func itemTag(tag reflect.StructTag) reflect.StructTag {
	var item string
	for _, k := range []string{"min", "max", "enum", "format"} {
		from := "item_" + k
		if v, ok := tag.Lookup(from); ok {
			item += fmt.Sprintf("%s:%q ", k, v)
		}
	}
	return reflect.StructTag(item)
}

// escape makes a name one token of a JSON pointer in a URI fragment. The dot,
// which separates the parts of a field name below, is escaped too.
func escape(name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '~':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

package bootstrap

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/quis-idp/quis/api/admin/shape"
)

const (
	maxNesting = 8      // of lists and maps; three are needed
	maxIndent  = 256    // columns
	maxTokens  = 200000 // of one file
)

// decode reads data into v, a pointer to a struct, and returns everything that does not fit.
func decode(data []byte, v any) []Fault {
	root, fault := parse(data)
	if fault != nil {
		return []Fault{*fault}
	}
	var d decoder
	if root != nil {
		d.value(root, reflect.ValueOf(v).Elem(), "the file")
	}
	return d.faults
}

// parse returns the tree of the one document in data; nil if it is empty.
func parse(data []byte) (root ast.Node, fault *Fault) {
	if !utf8.Valid(data) || strings.ContainsRune(string(data), 0) {
		return nil, &Fault{Detail: "is not UTF-8 text"}
	}
	// The library is not ours, and a file that breaks it must not take the node down.
	defer func() {
		if recover() != nil {
			root, fault = nil, &Fault{Detail: "is not YAML that can be read here"}
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if f := tooDeep(tokens); f != nil {
		return nil, f
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxFault(err)
	}
	var docs []*ast.DocumentNode
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentType {
			docs = append(docs, doc)
		}
	}
	switch len(docs) {
	case 0:
		return nil, nil
	case 1:
		return docs[0].Body, nil
	}
	return nil, &Fault{Detail: "holds more than one document (---)"}
}

// tooDeep guards the recursive parser against nesting that nobody writes.
func tooDeep(tokens token.Tokens) *Fault {
	if len(tokens) > maxTokens {
		return &Fault{Detail: "is too long"}
	}
	flow, dashes, line := 0, 0, 0
	for _, t := range tokens {
		deep := false
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
			deep = t.Position.Column > maxIndent
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType:
			dashes++
		case token.AnchorType, token.AliasType, token.TagType:
			return &Fault{t.Position.Line, t.Position.Column, "anchors (&), aliases (*) and tags (!) are not used here; put the value in quotes if it is text"}
		}
		if flow > maxNesting || dashes > maxNesting || deep {
			return &Fault{t.Position.Line, t.Position.Column, "is nested too deeply"}
		}
	}
	return nil
}

var quoted = regexp.MustCompile(`"(\\.|[^"])*"|'[^']*'|\x60[^\x60]*\x60`)

// syntaxFault keeps what the parser says, but nothing that it quotes.
func syntaxFault(err error) *Fault {
	f := &Fault{Detail: "is not valid YAML"}
	e, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return f
	}
	if t := e.GetToken(); t != nil && t.Position != nil {
		f.Line, f.Column = t.Position.Line, t.Position.Column
	}
	if m := e.GetMessage(); m != "" && !strings.Contains(m, "\n") {
		f.Detail = "not valid YAML: " + quoted.ReplaceAllString(m, "…")
	}
	return f
}

// A decoder fills Go values from a tree.
type decoder struct{ faults faults }

func (d *decoder) fault(n ast.Node, format string, args ...any) {
	line, column := position(n)
	d.faults.add(line, column, format, args...)
}

func position(n ast.Node) (line, column int) {
	t := n.GetToken()
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		t = m.Values[0].Key.GetToken()
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		t = m.Key.GetToken()
	}
	if t == nil || t.Position == nil {
		return 0, 0
	}
	return t.Position.Line, t.Position.Column
}

func (d *decoder) value(n ast.Node, v reflect.Value, what string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), what)
	case reflect.Struct:
		d.mapping(n, v, what)
	case reflect.Slice:
		d.sequence(n, v, what)
	case reflect.String:
		s, ok := text(n)
		if !ok {
			d.fault(n, "%s must be text; put it in quotes", what)
		} else if s == "" {
			d.fault(n, "%s is empty", what)
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.fault(n, "%s must be true or false", what)
			return
		}
		v.SetBool(b.Value)
	case reflect.Int64:
		i, ok := integer(n)
		if !ok {
			d.fault(n, "%s must be a whole number", what)
		}
		v.SetInt(i)
	default:
		panic(fmt.Sprintf("bootstrap: no decoding for %v", v.Type()))
	}
}

func text(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

func integer(n ast.Node) (int64, bool) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		return 0, false
	}
	switch v := i.Value.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v < 1<<62
	}
	return 0, false
}

func (d *decoder) sequence(n ast.Node, v reflect.Value, what string) {
	if n.Type() == ast.NullType { // "users:" with nothing behind it
		return
	}
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fault(n, "%s must be a list", what)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, e := range s.Values {
		d.value(e, v.Index(i), "each entry of "+what)
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, what string) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		d.fault(n, "%s must be a map of keys and values", what)
		return
	}
	line, column := position(n)
	if f := v.FieldByName("Line"); f.IsValid() {
		f.SetInt(int64(line))
	}
	seen := map[string]bool{}
	for _, kv := range values {
		key, _ := kv.Key.(*ast.StringNode)
		i := -1
		if key != nil {
			i = fieldOf(v.Type(), key.Value)
		}
		switch {
		case i < 0:
			d.fault(kv.Key, "unknown key%s%s", echo(key, kv.Value), hint(key, v.Type()))
		case seen[key.Value]:
			d.fault(kv.Key, "key %s appears twice", key.Value)
		default:
			seen[key.Value] = true
			d.value(kv.Value, v.Field(i), key.Value)
		}
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("required") == "true" && !seen[f.Tag.Get("yaml")] {
			d.faults.add(line, column, "%s is missing", f.Tag.Get("yaml"))
		}
	}
}

func fieldOf(t reflect.Type, key string) int {
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name == key && name != "-" && name != "" {
			return i
		}
	}
	return -1
}

var identifier = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,31}$`)

// echo returns an unknown key for an error if it is certain to be meant as a key: what
// stands without a value, or looks like no key, may be a password in the wrong place.
func echo(key *ast.StringNode, value ast.Node) string {
	if key == nil || value == nil || value.Type() == ast.NullType || !identifier.MatchString(key.Value) || strings.HasPrefix(key.Value, tokenPrefix) {
		return ""
	}
	return " " + key.Value
}

// hint says which key was perhaps meant, or else which there are.
func hint(key *ast.StringNode, t reflect.Type) string {
	var known []string
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "-" && name != "" {
			known = append(known, name)
		}
	}
	if key != nil {
		if meant := shape.DidYouMean(strings.ToLower(key.Value), known); meant != "" {
			return meant
		}
	}
	return "; known here: " + strings.Join(known, ", ")
}

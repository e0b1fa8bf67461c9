// Package document reads a configuration file: YAML of sections, keys, and values that are
// texts or lists of texts. Which keys there are is the caller's; what they mean, too.
//
// It walks the syntax tree itself because a decoder stops at the first mistake, and every
// mistake is told with its place.
package document

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/quis-idp/quis/api/admin/shape"
)

// maxConfig bounds a configuration file, in bytes: a wrong path should not be read into memory.
const maxConfig = 1 << 20

// A Key is one that may stand in the file.
type Key struct {
	Name string // dotted: cluster.listen
	List bool   // several values: a sequence, or separated by commas
}

// Read hands to set what the file says and returns every mistake, each as
// "file:line:column: …".
func Read(name string, data []byte, keys []Key, set func(key string, values []string) error) []error {
	if len(data) > maxConfig {
		return []error{fmt.Errorf("%s: larger than %d bytes, so not a configuration file", name, maxConfig)}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return []error{syntaxError(name, err)}
	}
	w := walk{keys: keys, set: set, name: name}
	for i, doc := range file.Docs {
		switch {
		case doc == nil || doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType:
		case i > 0:
			w.fail(doc.Body, "a second document; a configuration is one")
		default:
			w.mapping("", doc.Body)
		}
	}
	return w.errs
}

type walk struct {
	keys []Key
	set  func(string, []string) error
	name string
	errs []error
}

func (w *walk) fail(at ast.Node, format string, args ...any) {
	where := w.name
	if t := at.GetToken(); t != nil && t.Position != nil {
		where = fmt.Sprintf("%s:%d:%d", w.name, t.Position.Line, t.Position.Column)
	}
	w.errs = append(w.errs, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

func (w *walk) mapping(prefix string, node ast.Node) {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return
	default:
		w.fail(node, "expected keys and values, found %s", kindOf(node))
		return
	}
	for _, p := range pairs {
		w.pair(prefix, p)
	}
}

func (w *walk) pair(prefix string, p *ast.MappingValueNode) {
	word := p.Key.GetToken().Value
	key := prefix + word
	if s, ok := w.key(key); ok {
		w.value(s, p.Value)
		return
	}
	here := w.under(prefix)
	for _, name := range here {
		if name == word { // a section
			w.mapping(key+".", p.Value)
			return
		}
	}
	hint := shape.DidYouMean(word, here)
	if hint == "" {
		if s, ok := w.key(strings.ReplaceAll(word, "-", "_")); ok {
			hint = fmt.Sprintf("; did you mean %q?", s.Name)
		}
	}
	w.fail(p.Key, "unknown key %q%s", key, hint)
}

func (w *walk) value(s Key, node ast.Node) {
	var values []string
	switch n := node.(type) {
	case *ast.NullNode:
		return // a key without a value keeps the default
	case *ast.SequenceNode:
		if !s.List {
			w.fail(node, "%s: one value is wanted, found a list", s.Name)
			return
		}
		for _, item := range n.Values {
			v, ok := scalar(item)
			if !ok {
				w.fail(item, "%s: a text is wanted, found %s", s.Name, kindOf(item))
				return
			}
			values = append(values, v)
		}
	default:
		v, ok := scalar(node)
		if !ok {
			w.fail(node, "%s: a value is wanted, found %s", s.Name, kindOf(node))
			return
		}
		if values = []string{v}; s.List {
			values = Split(v)
		}
	}
	if err := w.set(s.Name, values); err != nil {
		w.fail(node, "%s: %v", s.Name, err)
	}
}

func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return "an anchor, alias or tag, which have no use here"
	}
	return "a single value"
}

// under lists the keys and sections that may stand under prefix.
func (w *walk) under(prefix string) []string {
	var out []string
	for _, k := range w.keys {
		rest, ok := strings.CutPrefix(k.Name, prefix)
		if !ok {
			continue
		}
		word, _, _ := strings.Cut(rest, ".")
		if len(out) == 0 || out[len(out)-1] != word {
			out = append(out, word)
		}
	}
	return out
}

func (w *walk) key(name string) (Key, bool) {
	for _, k := range w.keys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// Split takes a list of values apart that are separated by commas.
func Split(s string) []string {
	var out []string
	for v := range strings.SplitSeq(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

func syntaxError(name string, err error) error {
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil && ye.GetToken().Position != nil {
		p := ye.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", name, p.Line, p.Column, ye.GetMessage())
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("%s: %s", name, first)
}

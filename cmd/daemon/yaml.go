package daemon

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

// readYAML sets in c what the file says and returns every mistake, each as
// "file:line:column: …". It walks the syntax tree itself because a decoder stops
// at the first unknown key.
func readYAML(c *Config, name string, data []byte) []error {
	if len(data) > maxConfig {
		return []error{fmt.Errorf("%s: larger than %d bytes, so not a configuration file", name, maxConfig)}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return []error{syntaxError(name, err)}
	}
	w := yamlWalk{config: c, name: name}
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

type yamlWalk struct {
	config *Config
	name   string
	errs   []error
}

func (w *yamlWalk) fail(at ast.Node, format string, args ...any) {
	where := w.name
	if t := at.GetToken(); t != nil && t.Position != nil {
		where = fmt.Sprintf("%s:%d:%d", w.name, t.Position.Line, t.Position.Column)
	}
	w.errs = append(w.errs, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

func (w *yamlWalk) mapping(prefix string, node ast.Node) {
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

func (w *yamlWalk) pair(prefix string, p *ast.MappingValueNode) {
	word := p.Key.GetToken().Value
	key := prefix + word
	if s, ok := settingOf(key); ok {
		w.value(s, p.Value)
		return
	}
	here := childrenOf(prefix)
	for _, name := range here {
		if name == word { // a section
			w.mapping(key+".", p.Value)
			return
		}
	}
	hint := shape.DidYouMean(word, here)
	if hint == "" {
		if s, ok := settingOf(strings.ReplaceAll(word, "-", "_")); ok {
			hint = fmt.Sprintf("; did you mean %q?", s.Key)
		}
	}
	w.fail(p.Key, "unknown key %q%s", key, hint)
}

func (w *yamlWalk) value(s Setting, node ast.Node) {
	var values []string
	switch n := node.(type) {
	case *ast.NullNode:
		return // a key without a value keeps the default
	case *ast.SequenceNode:
		if !s.List {
			w.fail(node, "%s: one value is wanted, found a list", s.Key)
			return
		}
		for _, item := range n.Values {
			v, ok := scalar(item)
			if !ok {
				w.fail(item, "%s: a text is wanted, found %s", s.Key, kindOf(item))
				return
			}
			values = append(values, v)
		}
	default:
		v, ok := scalar(node)
		if !ok {
			w.fail(node, "%s: a value is wanted, found %s", s.Key, kindOf(node))
			return
		}
		if values = []string{v}; s.List {
			values = splitList(v)
		}
	}
	if err := s.set(w.config, values); err != nil {
		w.fail(node, "%s: %v", s.Key, err)
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

// childrenOf lists the keys and sections that may stand under prefix.
func childrenOf(prefix string) []string {
	var out []string
	for _, s := range settings {
		rest, ok := strings.CutPrefix(s.Key, prefix)
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

func syntaxError(name string, err error) error {
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil && ye.GetToken().Position != nil {
		p := ye.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", name, p.Line, p.Column, ye.GetMessage())
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("%s: %s", name, first)
}

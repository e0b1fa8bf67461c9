package page

import (
	"html/template"
	"text/template/parse"
)

// fold replaces what a template says in the same words every time by those words: texts
// without arguments, addresses of assets, and templates made of nothing else. A page is hundreds of
// such calls, each through reflection, and a handful of values.
//
// It must come before the first execution, in which html/template looks at what is around each
// action. Texts are escaped for where pages have them: between tags, and in quoted attributes.
//
// Says are the functions that say the same every time, of one string each.
func fold(t *template.Template, says map[string]func(string) (string, error)) error {
	f := folding{t: t, says: says, done: map[string]bool{}}
	for _, sub := range t.Templates() {
		if err := f.template(sub.Name()); err != nil {
			return err
		}
	}
	return nil
}

type folding struct {
	t    *template.Template
	says map[string]func(string) (string, error)
	done map[string]bool // templates, also one that is under way
}

func (f *folding) template(name string) error {
	sub := f.t.Lookup(name)
	if f.done[name] || sub == nil || sub.Tree == nil {
		return nil
	}
	f.done[name] = true
	return f.list(sub.Tree.Root)
}

func (f *folding) list(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	kept := make([]parse.Node, 0, len(l.Nodes))
	for _, n := range l.Nodes {
		n, err := f.node(n)
		if err != nil {
			return err
		}
		if text, ok := n.(*parse.TextNode); ok && len(kept) > 0 {
			if last, ok := kept[len(kept)-1].(*parse.TextNode); ok {
				kept[len(kept)-1] = joined(last, text)
				continue
			}
		}
		kept = append(kept, n)
	}
	l.Nodes = kept
	return nil
}

func joined(a, b *parse.TextNode) *parse.TextNode {
	both := *a // the list that it came from may be another template's too
	both.Text = append(append([]byte{}, a.Text...), b.Text...)
	return &both
}

// node is what takes the place of n.
func (f *folding) node(n parse.Node) (parse.Node, error) {
	switch n := n.(type) {
	case *parse.ActionNode:
		return f.action(n)
	case *parse.TemplateNode:
		return f.call(n)
	case *parse.IfNode:
		return n, f.branch(&n.BranchNode)
	case *parse.WithNode:
		return n, f.branch(&n.BranchNode)
	case *parse.RangeNode:
		return n, f.branch(&n.BranchNode)
	}
	return n, nil
}

func (f *folding) branch(b *parse.BranchNode) error {
	if err := f.list(b.List); err != nil {
		return err
	}
	return f.list(b.ElseList)
}

// action folds {{t "key"}}.
func (f *folding) action(n *parse.ActionNode) (parse.Node, error) {
	if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 2 {
		return n, nil
	}
	name, named := n.Pipe.Cmds[0].Args[0].(*parse.IdentifierNode)
	arg, constant := n.Pipe.Cmds[0].Args[1].(*parse.StringNode)
	if !named || !constant || f.says[name.Ident] == nil {
		return n, nil
	}
	text, err := f.says[name.Ident](arg.Text)
	if err != nil {
		return nil, err
	}
	return &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(template.HTMLEscapeString(text))}, nil
}

// call folds {{template "name"}} of a template that is one text.
func (f *folding) call(n *parse.TemplateNode) (parse.Node, error) {
	if err := f.template(n.Name); err != nil {
		return nil, err
	}
	sub := f.t.Lookup(n.Name)
	if sub == nil || sub.Tree == nil || len(sub.Tree.Root.Nodes) != 1 {
		return n, nil
	}
	if text, ok := sub.Tree.Root.Nodes[0].(*parse.TextNode); ok {
		own := *text // html/template changes each node for what is around it, once
		return &own, nil
	}
	return n, nil
}

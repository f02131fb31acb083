package taskfile

import (
	"reflect"
	"slices"
	"strings"
	"text/template/parse"

	"github.com/acrux/acrux/internal/nearest"
)

// use is a name that a template takes from its data: .Run.ID is [Run ID].
type use struct {
	names []string
	at    int
}

// uses lists what a template takes from its data. It is empty if the template is broken.
func uses(name, text string) []use {
	tree := parse.New(name)
	tree.Mode = parse.SkipFuncCheck
	set := map[string]*parse.Tree{}
	if _, err := tree.Parse(text, "", "", set); err != nil {
		return nil
	}
	w := walker{text: text}
	for _, t := range set {
		w.inner = t.Name != name // whoever calls it says what the dot is
		w.list(t.Root)
	}
	return w.found
}

type walker struct {
	text  string
	found []use
	inner bool // the dot is something else than the data
}

func (w *walker) list(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		w.node(node)
	}
}

func (w *walker) node(node parse.Node) {
	switch node := node.(type) {
	case *parse.ActionNode:
		w.pipe(node.Pipe)
	case *parse.TemplateNode:
		w.pipe(node.Pipe)
	case *parse.IfNode:
		w.branch(&node.BranchNode, false)
	case *parse.RangeNode:
		w.branch(&node.BranchNode, true)
	case *parse.WithNode:
		w.branch(&node.BranchNode, true)
	case *parse.PipeNode:
		w.pipe(node)
	case *parse.ChainNode:
		w.node(node.Node)
	case *parse.FieldNode:
		if !w.inner {
			w.add(node.Ident, node.Pos)
		}
	case *parse.VariableNode:
		if node.Ident[0] == "$" {
			w.add(node.Ident[1:], node.Pos)
		}
	}
}

func (w *walker) add(names []string, at parse.Pos) {
	if len(names) == 0 || len(w.found) >= maxFindings {
		return
	}
	// The parser names some place within the name.
	name := "." + strings.Join(names, ".")
	begin := strings.LastIndex(w.text[:min(int(at)+len(name), len(w.text))], name)
	w.found = append(w.found, use{names, max(begin, 0)})
}

func (w *walker) branch(b *parse.BranchNode, changes bool) {
	w.pipe(b.Pipe)
	outer := w.inner
	w.inner = outer || changes
	w.list(b.List)
	w.inner = outer
	w.list(b.ElseList)
}

func (w *walker) pipe(pipe *parse.PipeNode) {
	if pipe == nil {
		return
	}
	for _, command := range pipe.Cmds {
		for _, arg := range command.Args {
			w.node(arg)
		}
	}
}

// runNames are the values of a run that a template may ask for.
var runNames = func() (names []string) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Run]()) {
		names = append(names, field.Name)
	}
	return names
}()

// templates notes names that a template asks for and that nobody gives.
func (l *linter) templates() {
	var secrets []string
	if l.doc != nil {
		for _, secret := range l.doc.Secrets {
			if secret != nil {
				secrets = append(secrets, secret.ID)
			}
		}
	}
	top := []string{"Run", "Build", "Values", "Secrets", "RunJSON", "ValuesJSON"}
	for _, u := range uses(l.in.Name, l.text.text) {
		switch {
		case !slices.Contains(top, u.names[0]):
			l.missing(u, u.names[:1], top, "it renders as nothing")
		case len(u.names) < 2:
		case u.names[0] == "Run":
			l.missing(u, u.names[:2], runNames, "a run has no such value; it renders as nothing")
		case u.names[0] == "Build":
			l.missing(u, u.names[:2], []string{"ID"}, "it renders as nothing")
		case u.names[0] == "Secrets" && l.doc != nil:
			l.missing(u, u.names[:2], secrets, "the file declares no such secret; it renders as nothing")
		}
	}
	l.values()
}

func (l *linter) missing(u use, names, known []string, what string) {
	word := names[len(names)-1]
	if slices.Contains(known, word) {
		return
	}
	name := "." + strings.Join(names, ".")
	right := nearest.Word(word, known)
	if right != "" {
		right = "." + strings.Join(append(slices.Clone(names[:len(names)-1]), right), ".")
	}
	l.doubt(l.text.offset(u.at), "", name, right, "%s: %s", shorten(name), what)
}

// values notes values that were not given, if something is wrong: that may be why.
func (l *linter) values() {
	if !slices.ContainsFunc(l.found, func(p Problem) bool { return p.Severity == Fault }) {
		return
	}
	given, err := loadValues(l.in.ValuesFile, l.in.Values)
	if err != nil {
		return
	}
	for _, u := range uses(l.in.Name, l.text.text) {
		if len(u.names) < 2 || u.names[0] != "Values" {
			continue
		}
		if _, known := given[u.names[1]]; !known {
			given[u.names[1]] = true // told once
			l.doubt(l.text.offset(u.at), "", ".Values."+u.names[1], "", "no value %s is given, which may be why; give --set %s=…", shorten(u.names[1]), shorten(u.names[1]))
		}
	}
}

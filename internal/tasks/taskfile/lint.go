package taskfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	yaml2 "gopkg.in/yaml.v2"

	"github.com/acrux/acrux/internal/nearest"
)

// Severity says what a problem means for a run.
type Severity string

// The severities. What the runner refuses, or what certainly fails when it comes to it,
// is a Fault; what is accepted and most likely not meant is a Doubt.
const (
	Fault Severity = "error"
	Doubt Severity = "warning"
)

// Problem is one thing that is wrong with a task file.
type Problem struct {
	Severity Severity `json:"severity"`
	Line     int      `json:"line"`   // from 1
	Column   int      `json:"column"` // from 1, in characters
	Path     string   `json:"path,omitempty"`
	Message  string   `json:"message"`
	// Reference is how a server says it, in the words of Azure's runner. It is empty
	// where a server says nothing before the run.
	Reference string `json:"reference,omitempty"`
	Wrong     string `json:"wrong,omitempty"`   // the key or the word at fault
	Nearest   string `json:"nearest,omitempty"` // what was probably meant
}

// ErrNotRead is what Input.AliasSource returns for a source that Lint shall do without.
var ErrNotRead = errors.New("the source is not read")

// Lint names all that is wrong with a task file, in the order of the file. Secrets are
// not read, whatever in.Secret says; they have some text. Only an ended ctx is an error.
func Lint(ctx context.Context, in Input) ([]Problem, error) {
	l := &linter{in: &in, source: in.AliasSource}
	in.AliasSource, in.lint = l.aliasSource, true
	r, err := read(ctx, &in)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l.reading = r
	l.failed(err)
	if errors.As(err, new(tooLarge)) {
		return l.found, nil
	}
	if r.rendered.text != "" {
		l.places = r.rendered.places()
		l.rules()
		l.keys()
		l.later()
	}
	l.aliases()
	l.templates()
	slices.SortStableFunc(l.found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return l.found, nil
}

type linter struct {
	*reading
	in     *Input
	source func(ctx context.Context, src string) ([]byte, error)
	unread bool    // a source of aliases was not read, so any name may be an alias
	places *places // of the rendered text
	found  []Problem
	lines  lineIndex
}

// aliasSource does without what the caller does not read.
func (l *linter) aliasSource(ctx context.Context, src string) ([]byte, error) {
	if l.source == nil {
		l.unread = true
		return nil, nil
	}
	text, err := l.source(ctx, src)
	if errors.Is(err, ErrNotRead) {
		l.unread = true
		return nil, nil
	}
	return text, err
}

// add notes a problem at a byte of the file.
func (l *linter) add(at int, problem Problem) {
	if len(l.found) >= maxFindings {
		return
	}
	problem.Line, problem.Column = l.lines.at(l.in.File, at)
	if problem.Nearest == problem.Wrong {
		problem.Nearest = ""
	}
	l.found = append(l.found, problem)
}

// doubt notes a warning that is about a word.
func (l *linter) doubt(at int, where keyPath, wrong, nearest, format string, args ...any) {
	l.add(at, Problem{Severity: Doubt, Path: string(where), Message: fmt.Sprintf(format, args...), Wrong: wrong, Nearest: nearest})
}

// failed notes what ended the reading.
func (l *linter) failed(err error) {
	if err == nil {
		return
	}
	var types *yaml2.TypeError
	if errors.As(err, &types) && l.rendered.text != "" {
		l.types(types)
		return
	}
	placed := &placedError{err: err}
	errors.As(err, &placed)
	words := placed.err.Error()
	message := words
	if place := templatePlace.FindAllStringIndex(words, -1); place != nil {
		message = words[place[len(place)-1][1]:]
	}
	l.add(placed.offset, Problem{Severity: Fault, Path: string(placed.path), Message: message, Reference: err.Error()})
}

// types notes the values of the wrong type, which the decoder names by their lines.
func (l *linter) types(err *yaml2.TypeError) {
	places := l.rendered.places()
	left := misfits(places.root)
	for _, text := range err.Errors {
		line := 0
		_, _ = fmt.Sscanf(text, "line %d:", &line) // without a number there is no line
		problem := Problem{Severity: Fault, Message: text, Reference: l.stage(deserializeStage) + "yaml: unmarshal errors: " + text}
		at := places.at(line, 0)
		if i := slices.IndexFunc(left, func(m misfit) bool { return m.value.Line == line }); i >= 0 {
			at, problem.Path = places.node(left[i].value), string(left[i].where)
			problem.Wrong = left[i].where.last()
			problem.Message = fmt.Sprintf("%s must be %s", left[i].where, left[i].key.Type.phrase())
			left = slices.Delete(left, i, i+1)
		}
		l.add(at, problem)
	}
}

// stage is what the runner says before its words about a document: a file that has
// secrets is checked when they are looked for.
func (l *linter) stage(inner string) string {
	if inner == deserializeStage && strings.Contains(l.text.text, "secrets") {
		return "unable to render task: " + secretsStage
	}
	return unmarshalStage + inner
}

// rules notes the rules that the file breaks.
func (l *linter) rules() {
	for _, f := range l.reading.found.list {
		if l.mistyped(f.path) {
			continue // that it is missing follows from its type
		}
		problem := Problem{Severity: Fault, Path: string(f.path), Message: f.err.Error(), Reference: l.stage(f.stage) + f.err.Error(), Wrong: f.wrong}
		if f.reason != nil {
			problem.Message = f.reason()
		}
		if f.right != nil {
			problem.Nearest = nearest.Word(f.wrong, f.right())
		}
		l.add(l.places.of(f.path), problem)
	}
}

// mistyped reports whether a property, or something in it, is of the wrong type.
func (l *linter) mistyped(where keyPath) bool {
	return slices.ContainsFunc(l.found, func(p Problem) bool {
		return p.Wrong != "" && (p.Path == string(where) || strings.HasPrefix(p.Path, string(where)+".") || strings.HasPrefix(p.Path, string(where)+"["))
	})
}

// keys notes keys that nobody reads, and keys without effect.
func (l *linter) keys() {
	known := keys
	if l.plan.AliasMode && !l.whole {
		known = slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return k.Name == "alias" })
	}
	l.compare(l.places, known)
	if l.block.text != "" && !l.whole {
		l.compare(l.block.places(), keys[len(keys)-1:])
	}
	if l.places.root == nil {
		return
	}
	if at := find(l.places.root, "alias"); !l.plan.AliasMode && at != l.places.root {
		l.doubt(l.places.of("alias"), "alias", "alias", "", "aliases need version: v1.1.0; without it they are ignored")
	}
	if steps := resolve(find(l.places.root, "steps")); steps.Kind == yaml.SequenceNode && l.doc != nil {
		for i, node := range steps.Content {
			l.effects(i, resolve(node))
		}
	}
}

func (l *linter) compare(places *places, known []Key) {
	s := shape{budget: maxShape, misfit: func(*yaml.Node, keyPath, *Key) {}}
	s.unknown = func(key *yaml.Node, where keyPath, keys []Key) {
		if strings.HasPrefix(key.Value, "x-") {
			return // what people call the place of their anchors
		}
		if len(l.found) >= maxFindings {
			return
		}
		l.doubt(places.node(key), where, key.Value, nearestKey(keys, key.Value), "there is no key %q here; it is ignored", shorten(key.Value))
	}
	s.duplicate = func(key *yaml.Node, where keyPath) {
		l.doubt(places.node(key), where, key.Value, "", "the key %q is there twice; the last one counts", shorten(key.Value))
	}
	if places.root != nil && places.root.Kind == yaml.MappingNode {
		s.mapping(places.root, "", known)
	}
}

// effects notes the keys of a step that do nothing for its kind.
func (l *linter) effects(i int, node *yaml.Node) {
	if node.Kind != yaml.MappingNode || i >= len(l.plan.Steps) {
		return
	}
	step := l.plan.Steps[i]
	members := keyNamed(keys, "steps").Members
	for j := 0; j+1 < len(node.Content); j += 2 {
		name := node.Content[j]
		// A mount on push is a rule of its own.
		if key := keyNamed(members, name.Value); key != nil && !key.works(step.Kind) && key.Name != "volumeMounts" {
			l.doubt(l.places.node(name), keyPath("steps").item(i).key(key.Name), key.Name, "", "%q has no effect on a %s step", key.Name, step.Kind)
		}
	}
}

// shorten cuts a word that is too long to be shown.
func shorten(word string) string {
	const most = 60
	if len(word) <= most {
		return word
	}
	return strings.ToValidUTF8(word[:most], "") + "…"
}

// lineIndex knows where the lines of a file begin, once it was asked.
type lineIndex struct{ starts []int }

func (x *lineIndex) at(file []byte, offset int) (line, column int) {
	if x.starts == nil {
		x.starts = []int{0}
		for i, c := range file {
			if c == '\n' {
				x.starts = append(x.starts, i+1)
			}
		}
	}
	offset = min(max(offset, 0), len(file))
	line, found := slices.BinarySearch(x.starts, offset)
	if !found {
		line--
	}
	start := x.starts[line]
	_, column = lineAndColumn(file[start:], offset-start)
	return line + 1, column
}

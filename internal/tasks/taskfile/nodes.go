package taskfile

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The decoder of task files keeps no places, so they come from a second look at the
// same text with a parser that does. What a file means is the first one's to say.

// places is a text with the nodes that its YAML consists of.
type places struct {
	sourced
	root  *yaml.Node // nil where the parser cannot read the text
	lines []int      // where each begins
}

func (s sourced) places() *places {
	p := &places{sourced: s}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(s.text), &doc); err == nil && len(doc.Content) > 0 {
		p.root = doc.Content[0]
	}
	for at := 0; at < len(s.text); at += lineLength(s.text[at:]) {
		p.lines = append(p.lines, at)
	}
	return p
}

// at is the place in the file of a line and a column as YAML's parser counts them,
// from 1. Column 0 is the first sign of the line that is no blank.
func (p *places) at(line, column int) int {
	if line > len(p.lines) {
		return p.offset(len(p.text))
	}
	start := p.lines[max(line, 1)-1]
	rest := strings.TrimPrefix(p.text[start:], "\ufeff")
	start = len(p.text) - len(rest)
	if column == 0 {
		return p.offset(start + len(rest) - len(strings.TrimLeft(rest, " \t")))
	}
	for ; column > 1 && start < len(p.text); column-- {
		_, size := utf8.DecodeRuneInString(p.text[start:])
		start += size
	}
	return p.offset(start)
}

func (p *places) node(node *yaml.Node) int { return p.at(node.Line, node.Column) }

// of is the place in the file of a property, or of the innermost thing around it.
func (p *places) of(where keyPath) int {
	node := find(p.root, where)
	if node == nil {
		return p.offset(0)
	}
	return p.node(node)
}

// at adds to err the place of a property, or of the innermost thing around it.
func (s sourced) at(where keyPath, err error) error {
	return &placedError{offset: s.places().of(where), path: where, err: err}
}

// yamlLine is how YAML's parser names a line.
var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlError adds to err the place that the first line of an error of the parser names.
func (s sourced) yamlError(err, named error) error {
	found := yamlLine.FindStringSubmatch(named.Error())
	if found == nil {
		return err
	}
	line, _ := strconv.Atoi(found[1]) // digits
	p := s.places()
	placed := &placedError{offset: p.at(line, 0), err: err}
	for _, misfit := range misfits(p.root) {
		if misfit.value.Line == line {
			placed.offset, placed.path = p.node(misfit.value), misfit.where
			break
		}
	}
	return placed
}

// find follows a path as far as there are nodes.
func find(node *yaml.Node, where keyPath) *yaml.Node {
	for _, part := range parts(where) {
		node = resolve(node)
		next := (*yaml.Node)(nil)
		switch {
		case node == nil:
		case part.name == "" && node.Kind == yaml.SequenceNode && part.index < len(node.Content):
			next = node.Content[part.index]
		case part.name != "" && node.Kind == yaml.MappingNode:
			next = member(node, part.name)
		}
		if next == nil {
			return node
		}
		node = next
	}
	return node
}

// resolve returns what an alias stands for.
func resolve(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// member returns the value of a key: of equal keys the last, and then what is merged in.
func member(node *yaml.Node, name string) *yaml.Node {
	for i := len(node.Content) - 2; i >= 0; i -= 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1]
		}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != "<<" {
			continue
		}
		merged := resolve(node.Content[i+1])
		if merged.Kind != yaml.MappingNode {
			continue
		}
		if j := keyIndex(merged, name); j >= 0 {
			return merged.Content[j+1]
		}
	}
	return nil
}

// keyIndex is where the last key of a name is, or -1.
func keyIndex(node *yaml.Node, name string) int {
	for i := len(node.Content) - 2; i >= 0; i -= 2 {
		if node.Content[i].Value == name {
			return i
		}
	}
	return -1
}

// part is one step of a path: a name, or an index.
type part struct {
	name  string
	index int
}

// parts splits a path. Names of files may have dots; they are the end of a path.
func parts(where keyPath) []part {
	var found []part
	rest := string(where)
	for rest != "" {
		if inner, isItem := strings.CutPrefix(rest, "["); isItem {
			number, after, _ := strings.Cut(inner, "]")
			index, _ := strconv.Atoi(number) // path.item wrote it
			found = append(found, part{index: index})
			rest = strings.TrimPrefix(after, ".")
			continue
		}
		end := strings.IndexAny(rest, ".[")
		if n := len(found); n > 0 && (found[n-1].name == "secret" || found[n-1].name == "values") || end < 0 {
			end = len(rest)
		}
		found = append(found, part{name: rest[:end]})
		rest = strings.TrimPrefix(rest[end:], ".")
	}
	return found
}

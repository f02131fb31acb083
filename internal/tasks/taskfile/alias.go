package taskfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	yaml3 "go.yaml.in/yaml/v3"
	"gopkg.in/yaml.v2"
)

// ImageAliases are the short names of images that may begin a cmd on Linux, as
// Azure's runner ships them. An operator may give others.
func ImageAliases() map[string]string {
	return map[string]string{
		"acr":  "mcr.microsoft.com/acr/acr-cli:0.19",
		"az":   "mcr.microsoft.com/acr/azure-cli:2ff604c",
		"bash": "mcr.microsoft.com/acr/bash:2ff604c",
		"curl": "mcr.microsoft.com/acr/curl:2ff604c",
		"cssc": "mcr.microsoft.com/acr/cssc:2ff604c",
	}
}

// runAliases have a run variable of the same name.
var runAliases = []string{"ID", "SharedVolume", "Registry", "RegistryName", "Date", "OS", "Architecture", "Commit", "Branch"}

var (
	aliasKey   = regexp.MustCompile(`^alias\s*:.*$`)
	topKey     = regexp.MustCompile(`^[^\s:]+[^:]*:.*$`)
	aliasNames = regexp.MustCompile(`^[A-Za-z0-9]+$`)
)

// cutAliases separates the alias block from the rest of the text. A second block
// is found only if another key stands between the two.
func cutAliases(text sourced) (block, rest sourced) {
	cut := func(wanted bool) sourced {
		inBlock := false
		return text.become(keepLines(text.text, func(line string) bool {
			bare := strings.TrimRight(line, "\r\n")
			switch {
			case inBlock && topKey.MatchString(bare):
				inBlock = false
			case !inBlock && aliasKey.MatchString(bare):
				inBlock = true
			}
			return inBlock == wanted
		}))
	}
	return cut(true), cut(false)
}

// flowAliases is the alias block of a file that has it in another form than on lines of its own,
// such as in JSON. It stays in the file, where nobody reads it again.
func flowAliases(text sourced) (block sourced) {
	if !strings.Contains(text.text, "alias") || checkSize(text.text) != nil {
		return block
	}
	node := firstOf(rootOf(text.text), "alias")
	if node == nil || hasAnchors(node) {
		return block
	}
	written, err := yaml3.Marshal(map[string]*yaml3.Node{"alias": node})
	if err != nil {
		return block
	}
	var from origin
	from.mark(0, text.places().at(node.Line, node.Column), true)
	return sourced{text: string(written), trail: []origin{from}}
}

// hasAnchors reports whether something in a node stands for what is elsewhere.
func hasAnchors(node *yaml3.Node) bool {
	return node.Kind == yaml3.AliasNode || slices.ContainsFunc(node.Content, hasAnchors)
}

// aliases are the names of a file with their values and the sign before them.
type aliases struct {
	directive rune
	values    map[string]string
	unknown   []unknownAlias // found by replace
}

// unknownAlias is a name behind the directive that stands for nothing.
type unknownAlias struct {
	name string
	at   int // of the directive, in the text before the replacement
}

// maxUnknown bounds how many unknown names are remembered.
const maxUnknown = 1000

// aliasBlock is the shape of the block in a task file.
type aliasBlock struct {
	Alias struct {
		Src       []string          `yaml:"src" about:"files of the context, or URLs, with more aliases; the last one counts"`
		Values    map[string]string `yaml:"values" about:"aliases by name; names are letters and digits"`
		Directive *string           `yaml:"directive" about:"one character instead of $"`
	} `yaml:"alias" about:"names that stand for texts, anywhere behind the directive and as the first word of a cmd; only with version v1.1.0"`
}

// loadAliases reads a rendered block, its sources and the built-in names, and
// checks the directive and the names, in that order.
func loadAliases(ctx context.Context, block sourced, in *Input) (*aliases, error) {
	var doc aliasBlock
	if err := yaml.Unmarshal([]byte(block.text), &doc); err != nil {
		return nil, block.yamlError(fmt.Errorf("error during alias unmarshaling: %w", shortened(err)), err)
	}
	found := &aliases{directive: '$', values: builtinAliases(in)}
	for i, src := range doc.Alias.Src {
		more, err := aliasSource(ctx, src, in)
		if err != nil {
			return nil, block.at(keyPath("alias").key("src").item(i), err)
		}
		maps.Copy(found.values, more)
	}
	maps.Copy(found.values, doc.Alias.Values)
	if doc.Alias.Directive != nil {
		if err := found.setDirective(*doc.Alias.Directive); err != nil {
			return nil, block.at(keyPath("alias").key("directive"), err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found.values)) {
		if !aliasNames.MatchString(name) {
			return nil, block.at(keyPath("alias").key("values").key(name), errors.New("alias key names only support alphanumeric characters"))
		}
	}
	return found, nil
}

func (a *aliases) setDirective(text string) error {
	if utf8.RuneCountInString(text) != 1 {
		return errors.New("$ directive can only be overwritten by a single character")
	}
	a.directive, _ = utf8.DecodeRuneInString(text)
	if unicode.IsLetter(a.directive) || unicode.IsDigit(a.directive) {
		return errors.New("overwritten directives may not be alphanumeric characters")
	}
	return nil
}

func builtinAliases(in *Input) map[string]string {
	values := map[string]string{}
	if in.Run.OS != "windows" {
		images := in.ImageAliases
		if images == nil {
			images = ImageAliases()
		}
		maps.Copy(values, images)
	}
	for _, name := range runAliases {
		values[name] = "{{.Run." + name + "}}"
	}
	return values
}

func aliasSource(ctx context.Context, src string, in *Input) (map[string]string, error) {
	if in.AliasSource == nil {
		return nil, fmt.Errorf("alias source %s: this run cannot read alias sources", src)
	}
	text, err := in.AliasSource(ctx, src)
	if err != nil {
		return nil, err
	}
	var values map[string]string
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("error during alias unmarshaling: %w", err)
	}
	return values, nil
}

// replace puts values in place of names that follow the directive, in one pass:
// what was put in is not looked at again. A doubled directive stands for itself.
// What becomes too long is an error.
func (a *aliases) replace(text string) (string, origin, error) {
	var out strings.Builder
	var from origin
	text = strings.ToValidUTF8(text, "\ufffd")
	begin := -1 // of the directive before a name
	for i, r := range text {
		switch {
		case begin < 0 && r == a.directive:
			begin = i
		case begin < 0:
			out.WriteRune(r)
		case r == a.directive && i == begin+utf8.RuneLen(r):
			from.mark(out.Len(), i, false)
			out.WriteRune(r)
			begin = -1
		case isAlphanumeric(r):
		default:
			known := a.emit(&out, &from, text, begin, i)
			if out.Len() > maxOutput {
				return "", from, tooLarge(fmt.Sprintf("with its aliases the file is larger than %d bytes", maxOutput))
			}
			if begin = -1; known && r == a.directive {
				begin = i
				continue
			}
			out.WriteRune(r)
		}
	}
	if begin >= 0 {
		a.emit(&out, &from, text, begin, len(text))
	}
	return out.String(), from, nil
}

// emit writes the value of the name between two places, or the name as it stood there.
func (a *aliases) emit(out *strings.Builder, from *origin, text string, begin, end int) (known bool) {
	name := text[begin+utf8.RuneLen(a.directive) : end]
	value, known := a.values[name]
	if !known {
		if name != "" && len(a.unknown) < maxUnknown {
			a.unknown = append(a.unknown, unknownAlias{name, begin})
		}
		value = text[begin:end]
	}
	from.mark(out.Len(), begin, known)
	out.WriteString(value)
	from.mark(out.Len(), end, false)
	return known
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// expandImage replaces the first word of a cmd if it is the name of an alias.
func (a *aliases) expandImage(cmd string) string {
	first, rest, more := strings.Cut(strings.TrimSpace(cmd), " ")
	image, known := a.values[first]
	if !known {
		return cmd
	}
	if more {
		return image + " " + rest
	}
	return image
}

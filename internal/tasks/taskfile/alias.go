package taskfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

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
func cutAliases(text string) (block, rest string) {
	var inBlock bool
	var blocks, others strings.Builder
	for line := range strings.Lines(text) {
		bare := strings.TrimRight(line, "\r\n")
		switch {
		case inBlock && topKey.MatchString(bare):
			inBlock = false
		case !inBlock && aliasKey.MatchString(bare):
			inBlock = true
		}
		if inBlock {
			blocks.WriteString(line)
		} else {
			others.WriteString(line)
		}
	}
	return blocks.String(), others.String()
}

// aliases are the names of a file with their values and the sign before them.
type aliases struct {
	directive rune
	values    map[string]string
}

// aliasBlock is the shape of the block in a task file.
type aliasBlock struct {
	Alias struct {
		Src       []string          `yaml:"src"`
		Values    map[string]string `yaml:"values"`
		Directive *string           `yaml:"directive"`
	} `yaml:"alias"`
}

// loadAliases reads a rendered block, its sources and the built-in names, and
// checks the directive and the names, in that order.
func loadAliases(ctx context.Context, block string, in *Input) (*aliases, error) {
	var doc aliasBlock
	if err := yaml.Unmarshal([]byte(block), &doc); err != nil {
		return nil, fmt.Errorf("error during alias unmarshaling: %w", err)
	}
	found := &aliases{directive: '$', values: builtinAliases(in)}
	for _, src := range doc.Alias.Src {
		more, err := aliasSource(ctx, src, in)
		if err != nil {
			return nil, err
		}
		maps.Copy(found.values, more)
	}
	maps.Copy(found.values, doc.Alias.Values)
	if doc.Alias.Directive != nil {
		if err := found.setDirective(*doc.Alias.Directive); err != nil {
			return nil, err
		}
	}
	for name := range found.values {
		if !aliasNames.MatchString(name) {
			return nil, errors.New("alias key names only support alphanumeric characters")
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
func (a *aliases) replace(text string) string {
	var out strings.Builder
	var name []rune
	inName := false
	for _, r := range text {
		switch {
		case !inName && r == a.directive:
			inName = true
		case !inName:
			out.WriteRune(r)
		case r == a.directive && len(name) == 0:
			out.WriteRune(r)
			inName = false
		case isAlphanumeric(r):
			name = append(name, r)
		default:
			known := a.emit(&out, string(name))
			name = name[:0]
			if inName = known && r == a.directive; !inName {
				out.WriteRune(r)
			}
		}
	}
	if inName {
		a.emit(&out, string(name))
	}
	return out.String()
}

// emit writes the value of a name, or the name as it stood there.
func (a *aliases) emit(out *strings.Builder, name string) (known bool) {
	value, known := a.values[name]
	if !known {
		value = string(a.directive) + name
	}
	out.WriteString(value)
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

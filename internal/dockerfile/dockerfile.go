// Package dockerfile reads Dockerfiles as BuildKit's frontend does, with its parser and its
// expansion of words: which stages there are, and which images they are made from. It does
// not build, and asks nobody.
package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// Options are what a Dockerfile is read with.
type Options struct {
	Args     map[string]string // build arguments
	Target   string            // name of the stage that is built; "" is the last
	Platform string            // of the image, as docker writes it; "" is Linux on this machine's processor
}

// File is a Dockerfile.
type File struct {
	AST *parser.Node
	// Stages are in order. What their bases are called has its arguments replaced; where
	// that is not possible it is as written.
	Stages []instructions.Stage

	named map[string][]int // stages by name, in lower case
}

// Parse reads a Dockerfile. Its errors name the line, in docker's words.
func Parse(data []byte, o Options) (*File, error) {
	parsed, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, atLine(err)
	}
	stages, declared, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, atLine(err)
	}
	if len(stages) == 0 {
		return nil, errors.New("file with no instructions")
	}
	words := shell.NewLex(parsed.EscapeToken)
	env, err := o.globals(words, declared)
	if err != nil {
		return nil, err
	}
	file := &File{AST: parsed.AST, Stages: stages, named: map[string][]int{}}
	for i := range stages {
		if name := strings.ToLower(stages[i].Name); name != "" {
			file.named[name] = append(file.named[name], i)
		}
		if name, _, err := words.ProcessWord(stages[i].BaseName, env); err == nil {
			stages[i].BaseName = name
		}
	}
	return file, nil
}

// Target is the stage to build.
func (f *File) Target(name string) (int, error) {
	if name == "" {
		return len(f.Stages) - 1, nil
	}
	if i, ok := f.Stage(len(f.Stages), name); ok {
		return i, nil
	}
	return 0, fmt.Errorf("failed to reach build target %s in Dockerfile", name)
}

// Stage finds one of the first stages: the last with that name, in whatever case, or the one
// with that number.
func (f *File) Stage(first int, name string) (int, bool) {
	if i, ok := f.Named(first, name); ok {
		return i, true
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < first {
		return i, true
	}
	return 0, false
}

// Named finds the last of the first stages that has a name, in whatever case.
func (f *File) Named(first int, name string) (int, bool) {
	all := f.named[strings.ToLower(name)]
	later, _ := slices.BinarySearch(all, first)
	if later == 0 {
		return 0, false
	}
	return all[later-1], true
}

// Source is what a stage takes files from: a stage before it, or an image.
type Source struct {
	Stage int    // -1 for an image
	Image string // as written, with arguments replaced
}

// Base is what a stage begins with. Without a name it is nothing, or not known. FROM finds
// stages by name alone.
func (f *File) Base(stage int) Source {
	name := f.Stages[stage].BaseName
	if i, ok := f.Named(stage, name); ok {
		return Source{Stage: i}
	}
	if strings.EqualFold(name, "scratch") {
		name = ""
	}
	return Source{Stage: -1, Image: name}
}

// Sources lists the base of a stage, and what its instructions copy and mount from. Nothing and
// the context are left out.
func (f *File) Sources(stage int) []Source {
	var sources []Source
	if base := f.Base(stage); base.Stage >= 0 || base.Image != "" {
		sources = append(sources, base)
	}
	from := func(name string) {
		if name == "" || strings.EqualFold(name, "scratch") || name == "context" {
			return
		}
		if i, ok := f.Stage(stage, name); ok {
			sources = append(sources, Source{Stage: i})
			return
		}
		sources = append(sources, Source{Stage: -1, Image: name})
	}
	for _, command := range f.Stages[stage].Commands {
		switch c := command.(type) {
		case *instructions.CopyCommand:
			from(c.From)
		case *instructions.RunCommand:
			for _, mount := range instructions.GetMounts(c) {
				from(mount.From)
			}
		}
	}
	return sources
}

// atLine makes the message of a parse error name the line, as docker's does.
func atLine(err error) error {
	if strings.Contains(err.Error(), "parse error on line") {
		return err
	}
	var located *parser.LocationError
	if errors.As(err, &located) && len(located.Locations) > 0 && len(located.Locations[0]) > 0 {
		return fmt.Errorf("dockerfile parse error on line %d: %w", located.Locations[0][0].Start.Line, err)
	}
	return fmt.Errorf("dockerfile parse error: %w", err)
}

package taskfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	yaml2 "gopkg.in/yaml.v2"
)

// Error is what keeps a task file from running, with its place in the file as it was
// written.
type Error struct {
	Path         string // of the property: steps[2].when[0]; empty if it is about none
	Line, Column int    // from 1, in characters
	Err          error  // the runner's words
}

// Error is the runner's words alone: they are what clients and people look for.
func (e *Error) Error() string { return e.Err.Error() }

// Place says where it is, in a sentence.
func (e *Error) Place() string {
	place := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Path == "" {
		return "see " + place
	}
	return e.Path + " is at " + place
}

// Unwrap returns the runner's words.
func (e *Error) Unwrap() error { return e.Err }

// placedError is an error of which the place in the file is known. It shows nothing of it.
type placedError struct {
	offset int
	path   keyPath
	err    error
}

func (e *placedError) Error() string { return e.err.Error() }
func (e *placedError) Unwrap() error { return e.err }

// located makes an Error of err if something in its chain knows the place.
func (in *Input) located(err error) error {
	var placed *placedError
	if !errors.As(err, &placed) {
		return err
	}
	line, column := lineAndColumn(in.File, placed.offset)
	return &Error{Path: string(placed.path), Line: line, Column: column, Err: err}
}

// keyPath names a property: steps[2].when[0].
type keyPath string

func (p keyPath) key(name string) keyPath {
	if p == "" {
		return keyPath(name)
	}
	return p + "." + keyPath(name)
}

func (p keyPath) item(i int) keyPath { return p + keyPath("["+strconv.Itoa(i)+"]") }

// last is the last part: the name of a key, or [0].
func (p keyPath) last() string {
	i := strings.LastIndexAny(string(p), ".[")
	if i < 0 {
		return string(p)
	}
	return strings.TrimPrefix(string(p[i:]), ".")
}

// index is the number of an item: 2 of steps[0].env[2]; -1 of what is none.
func (p keyPath) index() int {
	n, err := strconv.Atoi(strings.Trim(p.last(), "[]"))
	if err != nil {
		return -1
	}
	return n
}

// finding is a rule that a file breaks.
type finding struct {
	path  keyPath
	stage string // before the runner's words
	err   error  // the runner's words
	wrong string // the word that is wrong, if it is one

	// For people, asked only if somebody wants to know:
	right  func() []string // words that could stand where the wrong one stands
	reason func() string   // what is wrong, in our words
}

// among says which words could stand where the wrong one stands.
func (f *finding) among(wrong string, right func() []string) *finding {
	f.wrong, f.right = wrong, right
	return f
}

// explain adds a reason in our words.
func (f *finding) explain(reason func() string) *finding {
	f.reason = reason
	return f
}

func words(list ...string) func() []string { return func() []string { return list } }

// findings collects broken rules in the order in which the runner checks them, so
// that the first is the one it tells.
type findings struct {
	stage string
	list  []*finding
}

// maxFindings bounds how much is told of one file.
const maxFindings = 200

func (f *findings) add(at keyPath, err error) *finding {
	found := &finding{path: at, stage: f.stage, err: err}
	if len(f.list) < maxFindings {
		f.list = append(f.list, found)
	}
	return found
}

// first is the first finding as an error, or nil.
func (f *findings) first(text sourced) error {
	if len(f.list) == 0 {
		return nil
	}
	err := text.at(f.list[0].path, f.list[0].err)
	if stage := f.list[0].stage; stage != "" {
		return fmt.Errorf("%s%w", stage, err)
	}
	return err
}

// shortened leaves out all but the first errors of YAML's parser.
func shortened(err error) error {
	var types *yaml2.TypeError
	if !errors.As(err, &types) || len(types.Errors) <= maxYAML {
		return err
	}
	return &yaml2.TypeError{Errors: append(types.Errors[:maxYAML:maxYAML], fmt.Sprintf("and %d more", len(types.Errors)-maxYAML))}
}

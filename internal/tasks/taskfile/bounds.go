package taskfile

import (
	"fmt"
	"strings"
)

// Task files come from strangers. These bounds keep what parsers make of one within a
// second and a few dozen megabytes; meter.go has those of templates while they run.
const (
	maxFile    = 2 << 20 // bytes of a task file
	maxActions = 20_000  // of a template
	maxParts   = 60_000  // of a document: lines, members and items
	maxSteps   = 5000
	maxYAML    = 20 // errors of YAML's parser that are shown
)

// tooLarge is the error for a file beyond a bound. Nothing more is to be said of it.
type tooLarge string

func (e tooLarge) Error() string { return string(e) }

// checkActions counts what a template's parser would make nodes of.
func checkActions(text string) error {
	if n := strings.Count(text, "{{"); n > maxActions {
		return tooLarge(fmt.Sprintf("the file has %d template actions; at most %d are possible", n, maxActions))
	}
	return nil
}

// checkSize estimates from signs alone how many nodes a document would have.
func checkSize(text string) error {
	parts := 0
	for i := range len(text) {
		switch text[i] {
		case '\n', ',', '[', '{':
			parts++
		case '-', ':', '?':
			if i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\t') {
				parts++
			}
		}
	}
	if parts > maxParts {
		return tooLarge(fmt.Sprintf("the file has more than %d parts", maxParts))
	}
	return nil
}

package taskfile

import "strings"

// dropComments removes every line whose first non-blank character is #, inside
// block scalars and quoted text as well: that is what Azure's runner does, before
// anything else.
func dropComments(text string) (string, origin) {
	return keepLines(text, func(line string) bool { return !strings.HasPrefix(strings.TrimSpace(line), "#") })
}

// keepLines returns the lines that pass, and where each was.
func keepLines(text string, pass func(line string) bool) (string, origin) {
	var kept strings.Builder
	var from origin
	at := 0
	for line := range strings.Lines(text) {
		if pass(line) {
			from.mark(kept.Len(), at, false)
			kept.WriteString(line)
		}
		at += len(line)
	}
	return kept.String(), from
}

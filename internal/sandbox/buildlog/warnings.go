package buildlog

import (
	"fmt"
	"slices"
	"strings"
)

// Warning is what the builder finds about a Dockerfile that is built all the same.
type Warning struct {
	Text       string
	Start, End int // lines; 0 if it is about none
}

// Warnings prints the warnings of a build in the order of the file, each once, under a line
// with their number, as docker does. It is empty without any.
func Warnings(found []Warning) string {
	seen := map[Warning]bool{}
	var all []Warning
	for _, w := range found {
		if !seen[w] {
			seen[w], all = true, append(all, w)
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.SortStableFunc(all, func(a, b Warning) int { return a.Start - b.Start })
	plural := "s"
	if len(all) == 1 {
		plural = ""
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\n %d warning%s found (use docker --debug to expand):\n", len(all), plural)
	for _, w := range all {
		fmt.Fprintf(&text, " - %s\n", w.Text)
	}
	return text.String()
}

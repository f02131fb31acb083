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

// aliasVersion is the first version with aliases. Versions are compared as text.
const aliasVersion = "v1.1.0"

// AliasMode reports whether a task file asks for aliases, judging by its raw
// text, as a runner must before it can parse the file.
func AliasMode(file []byte) bool {
	text, _ := dropComments(string(file))
	return findVersion(text) >= aliasVersion
}

// findVersion returns the value on the first line that begins with the key
// "version", quoted or not. It looks at raw lines, not at YAML.
func findVersion(text string) string {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimLeft(line, `'"`), "version") {
			continue
		}
		key, value, found := strings.Cut(line, ":")
		if found && strings.Trim(key, " \t'\"") == "version" {
			return strings.Trim(strings.TrimSpace(value), `'"`)
		}
	}
	return ""
}

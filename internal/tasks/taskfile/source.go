package taskfile

import "strings"

// dropComments removes every line whose first non-blank character is #, inside
// block scalars and quoted text as well: that is what Azure's runner does, before
// anything else.
func dropComments(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// aliasVersion is the first version with aliases. Versions are compared as text.
const aliasVersion = "v1.1.0"

// AliasMode reports whether a task file asks for aliases, judging by its raw
// text, as a runner must before it can parse the file.
func AliasMode(file []byte) bool {
	return findVersion(dropComments(string(file))) >= aliasVersion
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

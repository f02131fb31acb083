package taskfile

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ContextKind says where a build context comes from.
type ContextKind string

// The kinds of context, in the order in which they are tried.
const (
	ContextGit      ContextKind = "git"
	ContextArchive  ContextKind = "archive"
	ContextArtifact ContextKind = "artifact"
	ContextLocal    ContextKind = "local"
)

// Context is a build context.
type Context struct {
	Kind ContextKind
	Text string // as written
	Dir  string // ContextGit: folder from the fragment, or empty
}

// Remote reports whether the context must be fetched.
func (c Context) Remote() bool { return c.Kind != ContextLocal && c.Kind != "" }

var (
	gitSuffix  = regexp.MustCompile(`\.git(#.+)?$`)
	gitDevOps  = regexp.MustCompile(`(?i)^https://dev\.azure\.com/[^?]+/_git/[^?]+$`)
	gitStudio  = regexp.MustCompile(`(?i)^https://[^/?]+\.visualstudio\.com/([^?]+/)?_git/[^?]+$`)
	gitPrefix  = []string{"git://", "git@", "github.com/"}
	webPrefix  = []string{"http://", "https://"}
	booleans   = []string{"--compress", "--disable-content-trust", "--force-rm", "--no-cache", "--pull", "-q", "--quiet", "--rm", "--squash", "--load", "--push"}
	quoteSigns = `'"`
)

// ParseContext tells what kind of context a text names.
func ParseContext(text string) Context {
	context := Context{Kind: ContextLocal, Text: text}
	web := hasAnyPrefix(text, webPrefix)
	switch {
	case web && gitSuffix.MatchString(text), hasAnyPrefix(text, gitPrefix), gitDevOps.MatchString(text), gitStudio.MatchString(text):
		context.Kind = ContextGit
		_, fragment, _ := strings.Cut(text, "#")
		_, context.Dir, _ = strings.Cut(fragment, ":")
	case web:
		context.Kind = ContextArchive
	case len(text) >= 6 && strings.EqualFold(text[:6], "oci://"):
		context.Kind = ContextArtifact
	}
	return context
}

func hasAnyPrefix(text string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}

// readBuild finds in a build string what the runner itself must know. It splits at blanks
// outside of quotes; Azure's runner splits at all, so that a part of a value may be its context.
func readBuild(text string) Build {
	build := Build{Text: text}
	context := "."
	previous := ""
	for _, word := range quotedFields(text) {
		switch previous {
		case "-t", "--tag":
			build.Tags = append(build.Tags, strings.Trim(word, quoteSigns))
		case "--build-arg":
			build.Args = append(build.Args, strings.Trim(word, quoteSigns))
		default:
			if !isOption(word) && !takesValue(previous) {
				context = strings.Trim(word, quoteSigns)
			}
		}
		previous = word
		if takesValueItself(word) {
			previous = ""
		}
	}
	build.Context = ParseContext(context)
	return build
}

// quotedFields splits at blanks outside of quotes, which stay.
func quotedFields(text string) []string {
	var quote byte
	blank := func(i int) bool {
		c := text[i]
		switch {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
		return quote == 0 && isBlank(c)
	}
	var fields []string
	start := 0
	for i := range len(text) {
		if !blank(i) {
			continue
		}
		if i > start {
			fields = append(fields, text[start:i])
		}
		start = i + 1
	}
	if start < len(text) {
		fields = append(fields, text[start:])
	}
	return fields
}

func isOption(word string) bool { return strings.HasPrefix(word, "-") && word != "-" }

// takesValueItself is true for --name=value, which leaves the next word alone.
func takesValueItself(word string) bool {
	return strings.HasPrefix(word, "--") && strings.Contains(word, "=")
}

func takesValue(option string) bool {
	return isOption(option) && !slices.Contains(booleans, option)
}

// localText is the string with a remote context replaced by the current directory.
func (b *Build) localText() string {
	if !b.Context.Remote() {
		return b.Text
	}
	for _, quote := range []string{"", `"`, "'"} {
		if text := replaceWord(b.Text, quote+b.Context.Text+quote, "."); text != b.Text {
			return text
		}
	}
	return b.Text
}

// replaceWord replaces the first occurrence of word that stands between blanks.
func replaceWord(text, word, by string) string {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return text
		}
		start, end := from+i, from+i+len(word)
		if (start == 0 || isBlank(text[start-1])) && (end == len(text) || isBlank(text[end])) {
			return text[:start] + by + text[end:]
		}
		from = end
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// maxTag is the longest tag a registry takes.
const maxTag = 128

var tagNames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// addCache extends the string of a step that asks for a build cache.
func (p *Plan) addCache(step *Step, in *Input) {
	if !strings.EqualFold(step.Cache, "enabled") || len(step.Build.Tags) == 0 {
		return
	}
	if in.Run.OS == "windows" {
		p.Warnings = append(p.Warnings, "build cache is not supported on windows. Will use standard docker build")
		return
	}
	tag := "cache_" + cmp.Or(in.Run.TaskName, "quickrun") + "_" + step.ID
	if len(tag) > maxTag || !tagNames.MatchString(tag) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("error creating build cache command %q is not a valid tag", tag))
		return
	}
	ref := cacheRepository(step.Build.Tags, in.Run.Registry) + ":" + tag
	step.Build.Text = fmt.Sprintf("--load --cache-to=type=registry,ref=%s,mode=max --cache-from=type=registry,ref=%s %s", ref, ref, step.Build.Text)
	step.Build.Cached = true
}

// cacheRepository is the repository of the first tag that names a registry, or
// that of the first tag in the run's own registry.
func cacheRepository(tags []string, registry string) string {
	for _, tag := range tags {
		if host, _, found := strings.Cut(tag, "/"); found && isRegistryHost(host) {
			return repositoryOf(tag)
		}
	}
	return registry + "/" + repositoryOf(tags[0])
}

// repositoryOf cuts tag and digest off a name.
func repositoryOf(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	return name
}

func isRegistryHost(host string) bool {
	return strings.ContainsAny(host, ".:") || host == "localhost"
}

package oci

import (
	"fmt"
	"regexp"
	"strings"
)

// BadName says what is wrong with the name that a build is to push an image under.
type BadName struct {
	Name    string // as it was given
	Reason  string // a clause: "the repository 'X' has capital letters"
	Nearest string // a name that would do; empty if none is near
}

// Error implements error.
func (b *BadName) Error() string {
	text := fmt.Sprintf("'%s' cannot name an image: %s", b.Name, b.Reason)
	if b.Nearest != "" {
		text += fmt.Sprintf("; a valid name is '%s'", b.Nearest)
	}
	return text
}

// maxTag is the longest tag, in bytes.
const maxTag = 128

// template is what a run puts its own values in for, task-file.md 7 and 13.3. What comes of it
// is known to the run alone.
var template = regexp.MustCompile(`\{\{.*?\}\}`)

// CheckBuildName returns a *BadName unless a build may push an image under the name:
// [REGISTRY/]REPOSITORY[:TAG], with templates for values of the run. A first part that can only
// be a registry must be one of those known; with none known, that is for somebody else to say.
func CheckBuildName(name string, known ...string) error {
	rest := name
	host, after := splitHost(name)
	switch {
	case host == "":
	case len(known) == 0, isKnown(host, known):
		rest = after
	case strings.Contains(host, ":") || host != strings.ToLower(host): // no part of a repository
		reason := fmt.Sprintf("it begins with the registry %s, and a build pushes to its own (%s) or to one that "+
			"its task has a credential for", host, known[0])
		return &BadName{name, reason, nearest(after)}
	}
	if reason := wrongName(rest); reason != "" {
		near := nearest(rest)
		if near != "" {
			near = strings.TrimSuffix(name, rest) + near
		}
		return &BadName{name, reason, near}
	}
	return nil
}

// splitHost takes off what docker takes for a registry: a first part with a dot or a port, or
// localhost.
func splitHost(name string) (host, rest string) {
	first, rest, found := strings.Cut(name, "/")
	registry := first == "localhost" || strings.ContainsAny(first, ".:") && hostname.MatchString(first)
	if !found || !registry {
		return "", name
	}
	return first, rest
}

var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)

func isKnown(host string, known []string) bool {
	for _, one := range known {
		if strings.EqualFold(host, one) {
			return true
		}
	}
	return false
}

// wrongName is what is wrong with REPOSITORY[:TAG]; empty if nothing is.
func wrongName(name string) string {
	plain := template.ReplaceAllString(name, "x")
	image, _, digested := strings.Cut(plain, "@")
	repository, tag, tagged := cutTag(image)
	switch {
	case strings.TrimSpace(name) == "":
		return "it is empty"
	case digested:
		return "an image is pushed under a tag, and its digest comes of its content"
	case strings.Contains(plain, "$"):
		return "'$' means nothing here: values of the run are written like {{.Run.ID}}"
	case repository == "":
		return "there is no repository before the ':'"
	case !ValidRepository(repository):
		return wrongRepository(repository)
	case tagged && !ValidTag(tag):
		return wrongTag(tag)
	}
	return ""
}

// cutTag splits at the first colon: a repository has none, so that a second one is the tag's.
func cutTag(name string) (repository, tag string, tagged bool) { return strings.Cut(name, ":") }

func wrongRepository(name string) string {
	said := fmt.Sprintf("the repository '%s' ", name)
	switch {
	case len(name) > maxRepository:
		return fmt.Sprintf("its repository has %d characters, at most %d are possible", len(name), maxRepository)
	case ValidRepository(strings.ToLower(name)):
		return said + "has capital letters"
	case strings.ContainsAny(name, " \t\r\n"):
		return said + "has a blank"
	}
	return said + "has parts of lower-case letters and digits between '/', with '.', '_', '__' or '-' inside"
}

func wrongTag(tag string) string {
	switch {
	case tag == "":
		return "its tag is empty"
	case len(tag) > maxTag:
		return fmt.Sprintf("its tag has %d characters, at most %d are possible", len(tag), maxTag)
	case strings.Contains(tag, ":"):
		return fmt.Sprintf("it has more than one ':', and the tag '%s' cannot have one", tag)
	}
	return fmt.Sprintf("the tag '%s' has other signs than letters, digits, '_', '.' and '-', or begins with one of the last two",
		tag)
}

var (
	variable = regexp.MustCompile(
		`\$\{?(ID|Date|RegistryName|Registry|Commit|Branch|OS|Architecture|TaskName)\b\}?`)
	notInRepository = regexp.MustCompile(`[^a-z0-9._-]+`)
	notInTag        = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	separators      = regexp.MustCompile(`[._-]+`)
	validSeparator  = regexp.MustCompile(`^(\.|_|__|-+)$`)
)

// nearest makes a valid REPOSITORY[:TAG] of a text, as like it as possible; empty if nothing is
// left of it. Templates stay as they are.
func nearest(name string) string {
	var kept []string
	name = variable.ReplaceAllString(name, "{{.Run.$1}}")
	plain := template.ReplaceAllStringFunc(name, func(text string) string {
		kept = append(kept, text)
		return held(len(kept) - 1)
	})
	image, _, _ := strings.Cut(strings.TrimSpace(plain), "@")
	repository, tag, _ := cutTag(image)
	var parts []string
	for part := range strings.SplitSeq(repository, "/") {
		if part = nearestPart(part); part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	near := strings.Join(parts, "/")
	near = strings.TrimRight(near[:min(len(near), maxRepository)], "/._-")
	if tag = nearestTag(tag); tag != "" {
		near += ":" + tag
	}
	for i, text := range kept {
		near = strings.ReplaceAll(near, held(i), text)
	}
	if wrongName(near) != "" {
		return ""
	}
	return near
}

// held stands for a template meanwhile.
func held(i int) string { return fmt.Sprintf("0held%d0", i) }

func nearestPart(part string) string {
	part = notInRepository.ReplaceAllString(strings.ToLower(part), "-")
	part = separators.ReplaceAllStringFunc(part, func(run string) string {
		if validSeparator.MatchString(run) {
			return run
		}
		return "-"
	})
	return strings.Trim(part, "._-")
}

func nearestTag(tag string) string {
	tag = strings.TrimLeft(notInTag.ReplaceAllString(tag, "-"), ".-")
	return strings.TrimRight(tag[:min(len(tag), maxTag)], "-")
}

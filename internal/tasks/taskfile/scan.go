package taskfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Dependency is what one image of a build is made from. Its JSON is what Azure's
// scanner prints.
type Dependency struct {
	Image     *Reference  `json:"image"` // nil for a build without tag
	Runtime   Reference   `json:"runtime-dependency"`
	BuildTime []Reference `json:"buildtime-dependency"`
	Git       struct {
		HeadRevision string `json:"git-head-revision"`
	} `json:"git"`
}

// Scan reads the base images out of a Dockerfile: the one of the final stage, or
// of the target, is the run-time dependency, all others are build-time ones, in
// order of appearance. There is one entry for each tag.
//
// It is not Docker's own parser: it reads what Azure's scanner reads, and three
// things more that authors use all the time: options of FROM, continued lines, and
// ${X:-y} with ${X:+y}.
func Scan(dockerfile []byte, tags, buildArgs []string, target string) ([]Dependency, error) {
	scanner := scanner{vars: map[string]string{}, stages: map[string]string{}, target: target}
	for _, arg := range buildArgs {
		name, value, found := strings.Cut(arg, "=")
		if !found {
			return nil, fmt.Errorf("%s cannot be split into 2 tokens with '='", arg)
		}
		scanner.vars[name] = strings.Trim(value, quoteSigns)
	}
	if err := scanner.read(string(dockerfile)); err != nil {
		return nil, err
	}
	return scanner.result(tags)
}

type scanner struct {
	vars    map[string]string
	stages  map[string]string // name of a stage → image it began with
	origins []string          // images, in order of appearance
	origin  string            // of the last stage seen
	target  string
}

func (s *scanner) read(dockerfile string) error {
	for _, line := range logicalLines(dockerfile) {
		words := strings.Fields(line)
		done := false
		var err error
		switch strings.ToUpper(words[0]) {
		case "FROM":
			done, err = s.from(line, words)
		case "ARG":
			err = s.arg(line, words)
		}
		if err != nil || done {
			return err
		}
	}
	return nil
}

// logicalLines drops the byte order mark, comments and empty lines, and joins
// lines that end in a backslash.
func logicalLines(dockerfile string) []string {
	var lines []string
	joined := ""
	for line := range strings.Lines(strings.TrimPrefix(dockerfile, "\ufeff")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if part, continues := strings.CutSuffix(line, `\`); continues {
			joined += part + " "
			continue
		}
		lines = append(lines, strings.TrimSpace(joined+line))
		joined = ""
	}
	if joined = strings.TrimSpace(joined); joined != "" {
		lines = append(lines, joined)
	}
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

// from reads a FROM line; done says that the target's stage was found.
func (s *scanner) from(line string, words []string) (done bool, err error) {
	words = slices.DeleteFunc(words, func(word string) bool { return strings.HasPrefix(word, "--") })
	misread := fmt.Errorf("unable to understand line %s", line)
	if len(words) < 2 {
		return false, misread
	}
	image := s.substitute(strings.Trim(words[1], quoteSigns))
	if origin, known := s.stages[image]; known {
		s.origin = origin
	} else {
		s.origin = image
		if !slices.Contains(s.origins, image) {
			s.origins = append(s.origins, image)
		}
	}
	if len(words) == 2 {
		return false, nil
	}
	if !strings.EqualFold(words[2], "AS") || len(words) < 4 {
		return false, misread
	}
	s.stages[words[3]] = s.origin
	return words[3] == s.target, nil
}

// arg reads an ARG line. The first value of a name counts.
func (s *scanner) arg(line string, words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("dockerfile syntax requires ARG directive to have exactly 1 argument. LINE: %s", line)
	}
	name, value, found := strings.Cut(words[1], "=")
	if _, set := s.vars[name]; found && !set {
		s.vars[name] = strings.Trim(value, quoteSigns)
	}
	return nil
}

// substitute replaces $X, ${X}, ${X:-y} and ${X:+y}. Unknown names are empty.
func (s *scanner) substitute(text string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if braced, isBraced := strings.CutPrefix(after, "{"); isBraced {
			inside, rest, closed := cutBrace(braced)
			if !closed {
				out.WriteString("$" + after)
				return out.String()
			}
			out.WriteString(s.expand(inside))
			text = rest
			continue
		}
		end := strings.IndexFunc(after, func(r rune) bool { return !isAlphanumeric(r) && r != '_' })
		if end < 0 {
			end = len(after)
		}
		if end == 0 {
			out.WriteString("$")
		}
		out.WriteString(s.vars[after[:end]])
		text = after[end:]
	}
}

// cutBrace splits at the brace that closes the one before text.
func cutBrace(text string) (inside, rest string, closed bool) {
	depth := 1
	for i, r := range text {
		switch r {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return text[:i], text[i+1:], true
			}
		}
	}
	return "", "", false
}

func (s *scanner) expand(inside string) string {
	if name, otherwise, found := strings.Cut(inside, ":-"); found {
		if value := s.vars[name]; value != "" {
			return value
		}
		return s.substitute(otherwise)
	}
	if name, instead, found := strings.Cut(inside, ":+"); found {
		if s.vars[name] == "" {
			return ""
		}
		return s.substitute(instead)
	}
	return s.vars[inside]
}

func (s *scanner) result(tags []string) ([]Dependency, error) {
	if len(s.origins) == 0 {
		return nil, errors.New("unexpected dockerfile format")
	}
	runtime, err := ParseReference(s.origin)
	if err != nil {
		return nil, err
	}
	buildTime, err := s.buildTime()
	if err != nil {
		return nil, err
	}
	if len(tags) == 0 {
		return []Dependency{{Runtime: runtime, BuildTime: buildTime}}, nil
	}
	var found []Dependency
	for _, tag := range tags {
		image, err := ParseReference(tag)
		if err != nil {
			return nil, err
		}
		found = append(found, Dependency{Image: &image, Runtime: runtime, BuildTime: buildTime})
	}
	return found, nil
}

// buildTime lists the images that are not the run-time one. Different ways to
// write the same name count once.
func (s *scanner) buildTime() ([]Reference, error) {
	var found []Reference
	for _, origin := range s.origins {
		if origin == s.origin {
			continue
		}
		image, err := ParseReference(strings.TrimPrefix(origin, "library/"))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(found, image) {
			found = append(found, image)
		}
	}
	return found, nil
}

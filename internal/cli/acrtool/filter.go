package acrtool

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Filter is one of purge's: which tags of which repositories. Both are expressions as .NET and
// RE2 have them; the repository's is of the whole name, the tag's of any part.
type Filter struct {
	Repository string
	Tag        string
	repository *regexp2.Regexp
}

// matchTime bounds how long an expression may look at one name.
const matchTime = time.Second

func invalid(format string, args ...any) error {
	return problem.New(problem.Invalid, "InvalidArgument", format, args...)
}

// ParseFilter cuts a filter at its colon: that of a group ("(?i:") or of a class ("[:/]") is none.
func ParseFilter(text string) (Filter, error) {
	colons := separators(text)
	if len(colons) != 1 || colons[0] == 0 || colons[0] == len(text)-1 {
		return Filter{}, invalid("--filter %s is not REPOSITORY:TAG", text)
	}
	f := Filter{Repository: text[:colons[0]], Tag: text[colons[0]+1:]}
	var err error
	if f.repository, err = regexp2.Compile("^(?:"+f.Repository+")$", regexp2.RE2); err == nil {
		_, err = regexp2.Compile(f.Tag, regexp2.RE2)
	}
	if err != nil {
		return Filter{}, invalid("--filter %s: %v", text, err)
	}
	f.repository.MatchTimeout = matchTime
	return f, nil
}

var groupFlags = regexp.MustCompile(`\(\?[imsU-]*$`)

// separators are the places of the colons outside of groups' flags and of classes.
func separators(text string) (places []int) {
	class := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == ':' && !class && !groupFlags.MatchString(text[:i]):
			places = append(places, i)
		}
	}
	return places
}

// plain reports whether the repository's expression is a name.
func (f Filter) plain() bool {
	return regexp.QuoteMeta(f.Repository) == f.Repository || !strings.ContainsAny(f.Repository, `\[](){}*+?|^$`)
}

// Matches reports whether a repository is meant.
func (f Filter) Matches(repository string) (bool, error) {
	matches, err := f.repository.MatchString(repository)
	if err != nil {
		return false, invalid("the filter %s takes too long for the repository %s: %v", f.Repository, repository, err)
	}
	return matches, nil
}

// TagsOf is one expression for the tags of a repository that any of the filters means; ok is
// false if none of them means the repository.
func TagsOf(filters []Filter, repository string) (expression string, ok bool, err error) {
	var tags []string
	for _, f := range filters {
		matches, err := f.Matches(repository)
		if err != nil {
			return "", false, err
		}
		if matches && !slices.Contains(tags, f.Tag) {
			tags = append(tags, f.Tag)
		}
	}
	return "(?:" + strings.Join(tags, ")|(?:") + ")", len(tags) > 0, nil
}

var agoPattern = regexp.MustCompile(`^(?:(\d{1,5})d)?(.*)$`)

// ParseAgo reads a duration that may begin with days: 7d, 2d3h6m, 1.5h.
func ParseAgo(text string) (time.Duration, error) {
	m := agoPattern.FindStringSubmatch(strings.TrimPrefix(text, "-"))
	if text == "" || m == nil {
		return 0, invalid("--ago is empty")
	}
	var ago time.Duration
	if m[1] != "" {
		hours, err := time.ParseDuration(m[1] + "h")
		if err != nil {
			return 0, fmt.Errorf("reading the days of --ago: %w", err)
		}
		ago = 24 * hours
	}
	if m[2] != "" {
		rest, err := time.ParseDuration(m[2])
		if err != nil || rest < 0 {
			return 0, invalid("--ago %s is not a duration like 7d or 2d12h", text)
		}
		ago += rest
	}
	return ago, nil
}

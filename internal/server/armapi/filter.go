package armapi

import (
	"regexp"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// filter is a $filter of the listings over all types: a conjunction of members that
// equal something. Names are in lower case.
type filter map[string]string

var (
	conjunction = regexp.MustCompile(`(?i)'\s+and\s+`)
	equation    = regexp.MustCompile(`(?i)^\s*(\w+)\s+eq\s+'((?:[^']|'')*)'\s*$`)
)

// parseFilter reads a filter that may speak of the members named. What it does not
// understand is refused: a list that is longer than it should be misleads.
func parseFilter(text string, members ...string) (filter, error) {
	all := filter{}
	if strings.TrimSpace(text) == "" {
		return all, nil
	}
	for _, clause := range strings.Split(conjunction.ReplaceAllString(text, "'\x00"), "\x00") {
		m := equation.FindStringSubmatch(clause)
		if m == nil || !contains(members, m[1]) {
			return nil, problem.New(problem.Invalid, "InvalidFilterInQueryString", "The filter '%.200s' is not served: it may compare %s with 'eq', joined by 'and'.", text, strings.Join(members, ", ")).On("$filter")
		}
		all[strings.ToLower(m[1])] = strings.ReplaceAll(m[2], "''", "'")
	}
	return all, nil
}

func contains(members []string, name string) bool {
	for _, member := range members {
		if strings.EqualFold(member, name) {
			return true
		}
	}
	return false
}

// equals reports whether the filter does not speak of the member, or names this value.
func (f filter) equals(member, value string) bool {
	want, given := f[strings.ToLower(member)]
	return !given || strings.EqualFold(want, value)
}

// tagged reports whether tags are as tagName and tagValue want them.
func (f filter) tagged(tags map[string]string) bool {
	name, given := f["tagname"]
	if !given {
		return true
	}
	for have, value := range tags {
		if want, ok := f["tagvalue"]; strings.EqualFold(have, name) && (!ok || want == value) {
			return true
		}
	}
	return false
}

package armapi

import (
	"regexp"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
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

// terms are those of the resources that the filter names, the rarest first.
func (f filter) terms() ([]resource.Term, error) {
	var all []resource.Term
	if name, given := f["name"]; given {
		all = append(all, resource.NameTerm(name))
	}
	name, named := f["tagname"]
	value, valued := f["tagvalue"]
	switch {
	case named && valued:
		all = append(all, resource.TagValueTerm(name, value))
	case named:
		all = append(all, resource.TagTerm(name))
	case valued:
		return nil, problem.New(problem.Invalid, "InvalidFilterInQueryString", "The filter names a tagValue and no tagName.").On("$filter")
	}
	if location, given := f["location"]; given {
		all = append(all, resource.LocationTerm(location))
	}
	return all, nil
}

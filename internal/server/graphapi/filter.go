package graphapi

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// filter reports whether an object's properties fit.
type filter func(properties map[string]any) bool

// The comparisons that clients send, each a part of a filter.
var (
	quoted = `'((?:[^']|'')*)'`
	equal  = regexp.MustCompile(`^(\w+) eq (?:` + quoted + `|(true|false))$`)
	within = regexp.MustCompile(`^(\w+) in ?\( ?(` + quoted + `(?: ?, ?` + quoted + `)*) ?\)$`)
	starts = regexp.MustCompile(`^(?i:startswith) ?\( ?(\w+) ?, ?` + quoted + ` ?\)$`)
	member = regexp.MustCompile(`^(\w+)/any ?\( ?(\w+) ?: ?(\w+) eq ` + quoted + ` ?\)$`)
	text   = regexp.MustCompile(quoted)
)

// maxFilter bounds the comparisons of a filter.
const maxFilter = 50

// clause is a comparison that an object must fit, from which it is known where to look.
type clause struct {
	property, value string
	prefix          bool // the property begins with the value, else it is it or has it
}

// parseFilter reads an OData filter: comparisons joined by "and" or by "or", of
// properties that are known. An empty one fits everything. What it does not understand
// is an error: to answer with all objects, or with none, would be a wrong answer. The
// clauses are true of all that fits.
func parseFilter(source string, known []string) (_ filter, must []clause, _ error) {
	if strings.TrimSpace(source) == "" {
		return func(map[string]any) bool { return true }, nil, nil
	}
	parts, conjunction := splitFilter(source)
	filters := make([]filter, len(parts))
	for i, part := range parts {
		f, property := parseComparison(part)
		if f == nil || !slices.Contains(known, property) || len(parts) > maxFilter {
			return nil, nil, problem.New(problem.Invalid, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause '%s'.", part).
				Hint("filters are: name eq 'X', startswith(name,'X'), name in ('X','Y'), list/any(x:x eq 'X'), joined by 'and' or by 'or'; names are %s", strings.Join(known, ", "))
		}
		if filters[i] = f; conjunction {
			must = append(must, clausesOf(part)...)
		}
	}
	return func(properties map[string]any) bool {
		for _, f := range filters {
			if f(properties) != conjunction {
				return !conjunction
			}
		}
		return conjunction
	}, must, nil
}

// clausesOf is the clause that a comparison is, if it is one.
func clausesOf(part string) []clause {
	if m := equal.FindStringSubmatch(part); m != nil && m[3] == "" {
		return []clause{{property: m[1], value: unquote(m[2])}}
	}
	if m := member.FindStringSubmatch(part); m != nil {
		return []clause{{property: m[1], value: unquote(m[4])}}
	}
	if m := starts.FindStringSubmatch(part); m != nil {
		return []clause{{property: m[1], value: unquote(m[2]), prefix: true}}
	}
	return nil
}

// splitFilter cuts a filter at the "and" or "or" outside of quotes. Where both occur the
// parts still hold one of them and are not understood.
func splitFilter(source string) (parts []string, conjunction bool) {
	for _, word := range []string{" and ", " or "} {
		conjunction = word == " and "
		if parts = splitOutside(source, word); len(parts) > 1 {
			return parts, conjunction
		}
	}
	return parts, true
}

func splitOutside(source, word string) (parts []string) {
	inside, from := false, 0
	for i := 0; i < len(source); i++ {
		if source[i] == '\'' {
			inside = !inside
		}
		if !inside && len(source)-i >= len(word) && strings.EqualFold(source[i:i+len(word)], word) {
			parts = append(parts, strings.TrimSpace(source[from:i]))
			from = i + len(word)
			i = from - 1
		}
	}
	return append(parts, strings.TrimSpace(source[from:]))
}

// parseComparison returns the filter of one comparison with the property that it is
// about, nil if it is not understood.
func parseComparison(part string) (filter, string) {
	if m := equal.FindStringSubmatch(part); m != nil {
		if m[3] != "" {
			want, _ := strconv.ParseBool(m[3]) // the pattern takes nothing else
			return func(o map[string]any) bool { return o[m[1]] == want }, m[1]
		}
		return func(o map[string]any) bool { return same(o[m[1]], unquote(m[2])) }, m[1]
	}
	if m := within.FindStringSubmatch(part); m != nil {
		wants := text.FindAllStringSubmatch(m[2], -1)
		return func(o map[string]any) bool {
			return slices.ContainsFunc(wants, func(want []string) bool { return same(o[m[1]], unquote(want[1])) })
		}, m[1]
	}
	if m := starts.FindStringSubmatch(part); m != nil {
		return func(o map[string]any) bool {
			have, ok := o[m[1]].(string)
			want := unquote(m[2])
			return ok && strings.HasPrefix(strings.ToLower(have), strings.ToLower(want))
		}, m[1]
	}
	if m := member.FindStringSubmatch(part); m != nil && m[2] == m[3] {
		return func(o map[string]any) bool {
			list, _ := o[m[1]].([]string)
			return slices.ContainsFunc(list, func(have string) bool { return strings.EqualFold(have, unquote(m[4])) })
		}, m[1]
	}
	return nil, ""
}

func unquote(text string) string { return strings.ReplaceAll(text, "''", "'") }

func same(have any, want string) bool {
	text, ok := have.(string)
	return ok && strings.EqualFold(text, want)
}

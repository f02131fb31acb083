package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jmespath/go-jmespath"

	"github.com/acrux/acrux/internal/arm/problem"
)

// table is how --output table shows what a command returns.
type table struct {
	columns columns // without any: the members that fit into a cell
	// rows makes rows of what is returned; nil takes the value itself, or each of its elements.
	// The value is its own.
	rows func(value any) []any
}

// columns are the headings of a table and the JMESPath of each.
type columns []struct{ head, path string }

var (
	// members shows what the Azure CLI does where it has decided nothing.
	members = &table{}
	// nothing is the table of a command that has no output.
	nothing = &table{}
)

// eachRow is a table's rows with something done to each object.
func eachRow(do func(row document)) func(value any) []any {
	return func(value any) []any {
		rows := elements(value)
		for _, row := range rows {
			if object, ok := row.(document); ok {
				do(object)
			}
		}
		return rows
	}
}

// elements are those of a list, of the page of a list, or a value alone.
func elements(value any) []any {
	if object, ok := value.(document); ok {
		if page, ok := object["value"].([]any); ok {
			return page
		}
	}
	if all, ok := value.([]any); ok {
		return all
	}
	return []any{value}
}

// printTable shows a value; the query that has made it decides the order of its members.
func printTable(w io.Writer, value any, t *table, query string) error {
	rows := elements(value)
	if t.rows != nil {
		rows = t.rows(value)
	}
	if len(rows) == 0 {
		return nil
	}
	shown := t.columns
	if _, object := rows[0].(document); len(shown) == 0 || !object {
		shown = membersOf(rows, namesIn(query))
	}
	if len(shown) == 0 {
		return problem.New(problem.Invalid, "NoTable", "the output has no members that fit into a table").
			Hint("--output json, or --query with what is wanted, such as '{name: name}'")
	}
	lines, err := cells(rows, shown, query == "" || len(t.columns) > 0)
	if err != nil {
		return err
	}
	return align(w, shown, lines)
}

// cells are the texts of a table, row by row.
func cells(rows []any, shown columns, short bool) ([][]string, error) {
	lines := make([][]string, len(rows))
	for _, column := range shown {
		path, err := jmespath.Compile(column.path)
		if err != nil {
			return nil, err
		}
		for i, row := range rows {
			cell, err := path.Search(row)
			if err != nil {
				return nil, err
			}
			text := scalar(cell)
			if short {
				text = fraction.ReplaceAllString(text, "${1}Z")
			}
			lines[i] = append(lines[i], text)
		}
	}
	return lines, nil
}

// fraction is what nobody reads of a time.
var fraction = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$`)

// longestRule is how far the line below the last heading goes: a token there is longer than any screen.
const longestRule = 160

// align writes rows below the headings of their columns. A cell may have several lines.
func align(w io.Writer, shown columns, rows [][]string) error {
	heads, dashes, widths := make([]string, len(shown)), make([]string, len(shown)), make([]int, len(shown))
	for i, column := range shown {
		heads[i], widths[i] = column.head, utf8.RuneCountInString(column.head)
		for _, row := range rows {
			for line := range strings.SplitSeq(row[i], "\n") {
				widths[i] = max(widths[i], utf8.RuneCountInString(line))
			}
		}
		dashes[i] = strings.Repeat("-", widths[i])
	}
	if last := len(dashes) - 1; len(dashes[last]) > longestRule {
		dashes[last] = dashes[last][:longestRule]
	}
	for _, row := range slices.Concat([][]string{heads, dashes}, rows) {
		if _, err := io.WriteString(w, alignRow(row, widths)); err != nil {
			return err
		}
	}
	return nil
}

func alignRow(row []string, widths []int) string {
	split, height := make([][]string, len(row)), 1
	for i, cell := range row {
		split[i] = strings.Split(strings.ReplaceAll(cell, "\t", " "), "\n")
		height = max(height, len(split[i]))
	}
	var b strings.Builder
	for line := range height {
		var text strings.Builder
		for i, cell := range split {
			part := ""
			if line < len(cell) {
				part = cell[line]
			}
			text.WriteString(part + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(part)+2))
		}
		b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	return b.String()
}

// membersOf are the columns of rows for which nothing else is decided: their members that
// fit into a cell, but for long and idle ones.
func membersOf(rows []any, order []string) columns {
	var shown columns
	seen := map[string]bool{}
	add := func(head, path string) {
		if !seen[head] {
			seen[head] = true
			shown = append(shown, struct{ head, path string }{head, path})
		}
	}
	for _, row := range rows {
		switch row := row.(type) {
		case document:
			for _, name := range memberNames(row, order) {
				if fits(row[name]) && (slices.Contains(order, name) || !idle(name, row[name])) {
					add(strings.ToUpper(name[:1])+name[1:], `"`+name+`"`)
				}
			}
		case []any:
			for i := range row {
				add(fmt.Sprintf("Column%d", i+1), fmt.Sprintf("[%d]", i))
			}
		default:
			add("Result", "@")
		}
	}
	return shown
}

func fits(value any) bool {
	switch value.(type) {
	case nil, document, []any:
		return false
	}
	return true
}

// idle are members that say what was asked for: the Azure CLI leaves them out as well. The
// IDs of the directory, which are no paths, are not among them.
func idle(name string, value any) bool {
	text, _ := value.(string)
	switch name {
	case "", "type", "etag":
		return true
	case "id":
		return strings.HasPrefix(text, "/")
	}
	return strings.HasPrefix(name, "@")
}

// memberNames are the names of an object's members: those of an order first, the others by the
// alphabet.
func memberNames(object document, order []string) []string {
	place := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	return slices.SortedFunc(maps.Keys(object), func(a, b string) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
	})
}

// picks are queries that take elements of a list as they are: [0], [?name == 'x'].
var picks = regexp.MustCompile(`^\s*\[(\?[^\]{}]*|[-\d:]*|\*)\]\s*$`)

// member is a name that a query gives: {name: path}.
var member = regexp.MustCompile(`[{,]\s*"?([A-Za-z_][\w-]*)"?\s*:`)

// namesIn are the names that a query gives, in its order.
func namesIn(query string) (names []string) {
	for _, found := range member.FindAllStringSubmatch(query, -1) {
		names = append(names, found[1])
	}
	return names
}

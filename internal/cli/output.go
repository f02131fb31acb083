package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/jmespath/go-jmespath"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// output is how a command's value is shown.
type output struct {
	format string
	query  string
}

var formats = []string{"json", "jsonc", "yaml", "yamlc", "table", "tsv", "none"}

func (o *output) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "json", "output format: "+strings.Join(formats, ", "))
	cmd.Flags().StringVar(&o.query, "query", "", "JMESPath query on the output")
}

func (o *output) check() error {
	o.format = strings.ToLower(o.format)
	if _, err := (flag{name: "output", values: strings.Join(formats, " ")}).check(o.format); err != nil {
		return err
	}
	if o.query == "" {
		return nil
	}
	o.query = quoteWords(o.query)
	if _, err := jmespath.Compile(o.query); err != nil {
		return usageError{fmt.Errorf("--query %s: %w", o.query, err)}
	}
	return nil
}

// literal is a JMESPath literal: JSON between grave accents.
var literal = regexp.MustCompile("`(?:[^`\\\\]|\\\\.)*`")

// quoteWords makes texts of literals that are not JSON. The Azure CLI takes a bare word
// as a text, and its documentation is full of them: [?name==`x`].
func quoteWords(query string) string {
	return literal.ReplaceAllStringFunc(query, func(text string) string {
		inner := strings.TrimSpace(strings.Trim(text, "`"))
		if inner == "" || json.Valid([]byte(inner)) {
			return text
		}
		quoted, err := json.Marshal(inner)
		if err != nil {
			return text // the parser says what is wrong
		}
		return "`" + string(quoted) + "`"
	})
}

// print shows a value. A nil value shows nothing.
func (o *output) print(w io.Writer, value any, t *table) error {
	if value == nil || o.format == "none" {
		return nil
	}
	value, err := plain(value)
	if err != nil {
		return err
	}
	if o.query != "" {
		if value, err = jmespath.Search(o.query, value); err != nil {
			return usageError{fmt.Errorf("--query %s: %w", o.query, err)}
		}
		if value == nil {
			return nil // as the Azure CLI does
		}
		if !picks.MatchString(o.query) {
			t = members // the query has chosen what to show
		}
	}
	switch o.format {
	case "table":
		return printTable(w, value, t, o.query)
	case "tsv":
		return printTSV(w, value, o.query)
	case "yaml", "yamlc":
		encoder := yaml.NewEncoder(w)
		encoder.SetIndent(2)
		return encoder.Encode(whole(value))
	}
	return printJSON(w, value, o.format == "jsonc")
}

// tell is print for the commands of who runs a server: without --output and --query they say
// what there is in words.
func (o *output) tell(cmd *cobra.Command, w io.Writer, value any, t *table, words func(w io.Writer) error) error {
	if o.inWords(cmd) {
		return words(w)
	}
	return o.print(w, value, t)
}

func (o *output) inWords(cmd *cobra.Command) bool {
	return !cmd.Flags().Changed("output") && !cmd.Flags().Changed("query")
}

// plain turns any value into maps, lists and scalars.
func plain(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var out any
	return out, json.Unmarshal(text, &out)
}

// whole turns numbers without a fraction into integers, which YAML shows in full.
func whole(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			value[name] = whole(member)
		}
	case []any:
		for i, member := range value {
			value[i] = whole(member)
		}
	case float64:
		if n := int64(value); float64(n) == value {
			return n
		}
	}
	return value
}

func printJSON(w io.Writer, value any, colour bool) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if !colour {
		return encoder.Encode(value)
	}
	var b strings.Builder
	encoder = json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(w, colourJSON(b.String()))
	return err
}

// colourJSON colours the names of members, line by line.
func colourJSON(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		name, rest, ok := strings.Cut(line[len(indent):], `": `)
		if ok && strings.HasPrefix(name, `"`) {
			lines[i] = indent + "\x1b[94m" + name + `"` + "\x1b[0m: " + rest
		}
	}
	return strings.Join(lines, "\n")
}

// printTSV shows a list as lines and a map as one line of its values. What lies
// deeper is left out, as the Azure CLI does.
func printTSV(w io.Writer, value any, query string) error {
	rows, ok := value.([]any)
	if !ok {
		rows = []any{value}
	}
	order := namesIn(query)
	for _, row := range rows {
		if _, err := fmt.Fprintln(w, tsvLine(row, order)); err != nil {
			return err
		}
	}
	return nil
}

func tsvLine(row any, order []string) string {
	var cells []string
	switch row := row.(type) {
	case map[string]any:
		for _, name := range memberNames(row, order) {
			cells = append(cells, tsvCell(row[name]))
		}
	case []any:
		for _, cell := range row {
			cells = append(cells, tsvCell(cell))
		}
	case bool:
		return strconv.FormatBool(row) // alone in lower case, in a row not, as the Azure CLI
	default:
		return tsvCell(row)
	}
	return strings.Join(cells, "\t")
}

func tsvCell(value any) string {
	switch value := value.(type) {
	case nil, map[string]any:
		return ""
	case []any:
		return fmt.Sprint(len(value))
	}
	return scalar(value)
}

func scalar(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case bool:
		if value {
			return "True"
		}
		return "False"
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64) // sizes in full, not as 1e+07
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

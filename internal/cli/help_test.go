package cli

import (
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// onlyOne are commands with which there is just one thing to do.
var onlyOne = []string{"logout", "schema", "version"}

// Every command has examples, and each is a line that the command takes.
func TestExamples(t *testing.T) {
	t.Setenv("ACRUX_CONFIG_DIR", t.TempDir())
	all := readExamples()
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			look(child)
		}
		if cmd.HasSubCommands() {
			return
		}
		path := pathOf(cmd)
		examples := all[path]
		if len(examples) < 2 && (len(examples) == 0 || !slices.Contains(onlyOne, path)) {
			t.Errorf("%s has %d examples", path, len(examples))
		}
		for _, e := range examples {
			checkExample(t, path, e)
		}
		delete(all, path)
	}
	look(testRoot())
	for path := range all {
		t.Errorf("examples of %s, which is not there", path)
	}
}

func testRoot() *cobra.Command {
	return newRoot(&environment{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, getenv: os.Getenv})
}

// inner is what a line gets from another command.
var inner = regexp.MustCompile(`\$\(((?:az|acrux) [^)]*)\)`)

func checkExample(t *testing.T, path string, e example) {
	t.Helper()
	if !strings.HasSuffix(e.what, ".") || strings.HasPrefix(e.what, " ") {
		t.Errorf("%s: %q is no sentence", path, e.what)
	}
	line := e.line
	for _, call := range inner.FindAllStringSubmatch(line, -1) {
		if err := takes(call[1], ""); err != nil {
			t.Errorf("%s\n  within it: %v", e.line, err)
		}
		if line == `eval "`+call[0]+`"` {
			line = call[1]
		}
	}
	line, _, _ = strings.Cut(line, " > ")
	if err := takes(line, path); err != nil {
		t.Errorf("%s\n  %v", e.line, err)
	}
}

// takes reports why a line is none for a command; without a path it may be any.
func takes(line, path string) error {
	words := shellWords(line)
	args := words[1:]
	if words[0] != "az" && words[0] != "acrux" {
		return errors.New("begins with no program")
	}
	root, table := testRoot(), commands()
	if err := checkTyped(root, table, args); err != nil {
		return err
	}
	cmd, rest, err := root.Find(spread(table, args))
	if err != nil {
		return err
	}
	if path != "" && pathOf(cmd) != path {
		return errors.New("is of " + pathOf(cmd))
	}
	if (find(table, args) == nil) != (words[0] == "acrux") {
		return errors.New("begins with the wrong program")
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return valid(cmd, find(table, args))
}

// valid checks what the command itself does before it asks a server.
func valid(cmd *cobra.Command, spec *command) error {
	err := errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateArgs(cmd.Flags().Args()))
	if spec == nil || err != nil {
		return err
	}
	c := &call{cmd: cmd}
	out := output{format: c.text("output"), query: c.text("query")}
	return errors.Join(c.checkNames(spec.flags), out.check())
}

var (
	word   = regexp.MustCompile(`(?:"[^"]*"|'[^']*'|[^\s"'])+`)
	quoted = regexp.MustCompile(`"([^"]*)"|'([^']*)'`)
)

// shellWords parts a line as a shell does, for what stands in examples: quotes are not nested but
// in $( ), whose value is one word.
func shellWords(line string) []string {
	line = inner.ReplaceAllString(line, "value")
	var words []string
	for _, found := range word.FindAllString(line, -1) {
		words = append(words, quoted.ReplaceAllString(found, "$1$2"))
	}
	return words
}

// Lines that would be wrong are found.
func TestExamplesAreChecked(t *testing.T) {
	for line, want := range map[string]string{
		"az acr list":                         "",
		"az acr lst":                          "not a command",
		"az acr list --frobnicate":            "unknown flag",
		"az acr show":                         "required flag",
		"az acr create -n r -g dev --sku Big": "none of",
		"az acr list x":                       "one word too many",
		"az acr list -o tabel":                "none of",
		"az acr list --query '[?'":            "--query",
		"az acr task create -r r -n a/b":      "not a name",
		"az lint":                             "wrong program",
		"acrux acr list":                      "wrong program",
		"acrux lint --frobnicate":             "unknown flag",
		"acrux admin create-user":             "accepts 1 arg",
		`az group create --name "two words" --location "$PLACE"`: "",
	} {
		err := takes(line, "")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// The help of a group lists no flags, and that of a command parts its own from everybody's.
func TestHelp(t *testing.T) {
	for path, want := range map[string][]string{
		"acr":       {"Usage:", "Available Commands:"},
		"acr list":  {"Usage:", "Flags:", "Global Flags:", "Examples:"},
		"login":     {"Usage:", "Flags:", "Global Flags:", "Examples:"},
		"serve":     {"Usage:", "Flags:", "Examples:"},
		"admin":     {"Usage:", "Available Commands:"},
		"acr token": {"Usage:", "Available Commands:"},
	} {
		var b strings.Builder
		root := testRoot()
		root.SetOut(&b)
		root.SetArgs(append(strings.Fields(path), "--help"))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		heads := regexp.MustCompile(`(?m)^[A-Z][A-Za-z ]+:$`).FindAllString(b.String(), -1)
		if !slices.Equal(heads, want) {
			t.Errorf("%s: %q, want %q", path, heads, want)
		}
	}
}

package cli

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:embed examples.txt
var examplesText string

// example is a line of a command, and what it does.
type example struct{ what, line string }

// readExamples reads the examples of all commands, by their paths.
func readExamples() map[string][]example {
	found := map[string][]example{}
	path, what := "", ""
	for line := range strings.Lines(examplesText) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			path = strings.Trim(line, "[]")
		case strings.HasPrefix(line, "  "):
			found[path] = append(found[path], example{what, strings.TrimSpace(line)})
		default:
			what = line
		}
	}
	return found
}

// pathOf is what calls a command, without the name of the program.
func pathOf(cmd *cobra.Command) string {
	return strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()))
}

// everywhere are the flags that every client command has: the help shows them below the others.
var everywhere = map[string]bool{"debug": true, "help": true, "only-show-errors": true, "output": true, "query": true,
	"subscription": true, "verbose": true}

// usage writes the help of a command below what it says of itself. A group has no flags that
// somebody would look for; the root has its version.
func usage(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	own, shared := sortFlags(cmd)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "Usage:\n  %s [command]\n\nAvailable Commands:\n", cmd.CommandPath())
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() || child.Name() == "help" {
				fmt.Fprintf(w, "  %-*s %s\n", child.NamePadding(), child.Name(), child.Short)
			}
		}
		section(w, "Flags", own.FlagUsages())
		_, err := fmt.Fprintf(w, "\nUse \"%s [command] --help\" for more information about a command.\n", cmd.CommandPath())
		return err
	}
	fmt.Fprintf(w, "Usage:\n  %s\n", cmd.UseLine())
	section(w, "Flags", own.FlagUsages())
	section(w, "Global Flags", shared.FlagUsages())
	section(w, "Examples", examplesOf(pathOf(cmd)))
	return nil
}

// sortFlags parts the flags of a command from those that every client command has.
func sortFlags(cmd *cobra.Command) (own, shared *pflag.FlagSet) {
	own, shared = pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	client := cmd.Flags().Lookup("only-show-errors") != nil
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case client && everywhere[f.Name]:
			shared.AddFlag(f)
		case f.Name != "help" || !cmd.HasAvailableSubCommands():
			own.AddFlag(f)
		}
	})
	return own, shared
}

func section(w io.Writer, head, text string) {
	if text != "" {
		fmt.Fprintf(w, "\n%s:\n%s\n", head, strings.TrimRight(text, "\n"))
	}
}

// examplesOf is what the help shows of a command's examples.
func examplesOf(path string) string {
	var b strings.Builder
	for i, e := range readExamples()[path] {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "  %s\n    %s\n", e.what, e.line)
	}
	return b.String()
}

package cli

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/nearest"
)

// What somebody typed and the parser cannot use is told here: as not there yet if the
// Azure CLI has it, otherwise with what was probably meant.

//go:embed stock.txt
var stockText string

// stock is what only the Azure CLI has: commands with their missing options, and groups.
type stock map[string][]string

func readStock() stock {
	found := stock{}
	for line := range strings.Lines(stockText) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		path, options, _ := strings.Cut(strings.TrimSpace(line), " --")
		found[path] = nil
		if options != "" {
			found[path] = strings.Fields("--" + options)
		}
	}
	return found
}

// begins reports whether some command is, or is below, what the words name.
func (s stock) begins(path string) bool {
	for command := range s {
		if command == path || strings.HasPrefix(command, path+" ") {
			return true
		}
	}
	return false
}

// below are the words that may follow those of a group.
func (s stock) below(group []string) []string {
	var words []string
	for command := range s {
		path := strings.Fields(command)
		if n := len(group); len(path) > n && slices.Equal(path[:n], group) && !slices.Contains(words, path[n]) {
			words = append(words, path[n])
		}
	}
	return words
}

// longest is as much of the words as the Azure CLI knows.
func (s stock) longest(words []string) string {
	for n := len(words); n > 0; n-- {
		if path := strings.Join(words[:n], " "); s.begins(path) {
			return path
		}
	}
	return ""
}

// checkTyped refuses a command that there is not, and values that are the next option: what
// an empty variable of a script leaves.
func checkTyped(root *cobra.Command, table []command, args []string) error {
	words := args
	if i := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "-") }); i >= 0 {
		words = args[:i]
	}
	group := root
	for i, word := range words {
		next := child(group, word)
		if next == nil && group.HasSubCommands() {
			return unknownCommand(group, words[:i+1], words)
		}
		if next == nil {
			break
		}
		group = next
	}
	return swallowed(group, find(table, args), args)
}

func child(group *cobra.Command, word string) *cobra.Command {
	for _, cmd := range group.Commands() {
		if cmd.Name() == word || cmd.HasAlias(word) {
			return cmd
		}
	}
	// The parser's own commands are added when it runs.
	later := []string{"help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}
	if group.HasParent() || !slices.Contains(later, word) {
		return nil
	}
	return &cobra.Command{Use: word}
}

func unknownCommand(group *cobra.Command, unknown, words []string) error {
	names := readStock()
	// What is left of a path that this program knows in part may be a slip in its last word.
	if path := names.longest(words); len(strings.Fields(path)) >= len(unknown) {
		return notYet(group, "az "+path)
	}
	word := unknown[len(unknown)-1]
	var near []string
	for _, cmd := range group.Commands() {
		near = append(near, cmd.Name())
	}
	text := fmt.Sprintf("'%s' is not a command of '%s'", word, group.CommandPath())
	if meant := nearest.Word(word, near); meant != "" {
		text += fmt.Sprintf("; did you mean %s?", meant)
	} else if meant := nearest.Word(word, names.below(unknown[:len(unknown)-1])); meant != "" {
		text += fmt.Sprintf("; did you mean %s, which is not in Acrux yet?", meant)
	}
	return seeHelp(group, errors.New(text))
}

// notYet says that something of the Azure CLI is not there, whatever follows it.
func notYet(cmd *cobra.Command, what string) error {
	return problem.New(problem.Unsupported, "NotInAcrux", "'%s' is not in Acrux yet", what).
		Hint("%s --help lists what is, docs/reference/az-coverage.md what is not", cmd.CommandPath())
}

// swallowed finds an option that is taken for the value of the one before.
func swallowed(cmd *cobra.Command, spec *command, args []string) error {
	if spec == nil {
		return nil
	}
	for i := 0; i+1 < len(args); i++ {
		f := spec.flag(args[i])
		if f == nil || f.kind == toggle || f.kind == yesno || f.kind == optional || strings.Contains(args[i], "=") {
			continue
		}
		if next := args[i+1]; strings.HasPrefix(next, "--") && spec.flag(next) != nil {
			return seeHelp(cmd, fmt.Errorf("%s got '%s' for its value: an empty variable?", args[i], next))
		}
		i++
	}
	return nil
}

// unknownFlag explains an option that a command does not have.
func unknownFlag(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return seeHelp(cmd, err)
	}
	typed := "--" + missing.GetSpecifiedName()
	path := pathOf(cmd)
	if slices.Contains(readStock()[path], typed) {
		return notYet(cmd, "az "+path+" "+typed)
	}
	if meant := meantOption(cmd, missing); meant != "" {
		err = fmt.Errorf("%w; did you mean --%s?", err, meant)
	}
	return seeHelp(cmd, err)
}

// meantOption is the option of a command that is nearest to one that it has not, or the
// only one that begins so.
func meantOption(cmd *cobra.Command, missing *pflag.NotExistError) string {
	if missing.GetSpecifiedShortnames() != "" {
		return ""
	}
	var names, longer []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names = append(names, f.Name)
		if strings.HasPrefix(f.Name, missing.GetSpecifiedName()) {
			longer = append(longer, f.Name)
		}
	})
	if len(longer) == 1 {
		return longer[0]
	}
	return nearest.Word(missing.GetSpecifiedName(), names)
}

// positional takes no argument, or one that has a name in the command's usage.
func positional(spec command) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		most := 0
		if spec.args != "" {
			most = 1
		}
		if len(args) <= most {
			return nil
		}
		text := fmt.Sprintf("'%s' is one word too many", args[most])
		for _, name := range []string{"name", "registry"} {
			if f := cmd.Flags().Lookup(name); f != nil && !f.Changed {
				text += fmt.Sprintf("; did you mean --%s %s?", name, args[most])
				break
			}
		}
		return seeHelp(cmd, errors.New(text))
	}
}

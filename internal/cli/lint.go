package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// lint is acrux lint: what is wrong with task files, without a server.
type lint struct {
	flags   taskFileFlags
	context string
	name    string
	output  string
	strict  bool
}

// fileProblem is a problem as editors and CI read it.
type fileProblem struct {
	File string `json:"file"`
	taskfile.Problem
}

func newLintCommand(env *environment) *cobra.Command {
	var l lint
	cmd := &cobra.Command{Use: "lint [CONTEXT|FILE...]", Short: "Name all that is wrong with task files, without a server",
		Long: "Name all that is wrong with task files, with line and column. An error is what a server refuses or\nwhat fails when a run comes to it; a warning is accepted and most likely not meant. The exit status\nis 1 if there are errors. A folder stands for its acb.yaml, or for --file in it; without an argument\nit is the current one. FILE may be - for the standard input."}
	l.flags.add(cmd)
	cmd.Flags().StringVarP(&l.name, "file", "f", "", "task file, in the folder or else from here (default acb.yaml)")
	cmd.Flags().StringVar(&l.context, "context", "", "folder where files of aliases are (default that of the file)")
	cmd.Flags().StringVarP(&l.output, "output", "o", "text", "text or json")
	cmd.Flags().BoolVar(&l.strict, "strict", false, "warnings count as errors")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		if l.output != "text" && l.output != "json" {
			return invalidArgument("--output %s is neither text nor json", l.output)
		}
		if len(files) == 0 {
			files = []string{"."}
		}
		return l.run(cmd.Context(), env, files)
	}
	return cmd
}

func (l *lint) run(ctx context.Context, env *environment, files []string) error {
	all := []fileProblem{}
	var unread []error // files that could not be read; the others are told all the same
	for _, file := range files {
		file, _ := taskFileOf(file, l.name)
		found, err := l.file(ctx, env, file)
		if err != nil {
			unread = append(unread, err)
		}
		all = append(all, found...)
	}
	if err := errors.Join(append(unread, l.print(env.stdout, all))...); err != nil {
		return err
	}
	for _, problem := range all {
		if l.strict || problem.Severity == taskfile.Fault {
			return exitError(exitFailed)
		}
	}
	return nil
}

func (l *lint) file(ctx context.Context, env *environment, file string) ([]fileProblem, error) {
	folder := l.context
	if folder == "" {
		folder = folderOf(file)
	}
	in, err := l.flags.input(env, file, folder, loginServerOf(l.flags.registry))
	if err != nil {
		return nil, err
	}
	problems, err := taskfile.Lint(ctx, in)
	var found []fileProblem
	for _, problem := range problems {
		found = append(found, fileProblem{file, problem})
	}
	return found, err
}

// loginServerOf is a login server for a name, where no server says which it is.
func loginServerOf(registry string) string {
	if strings.Contains(registry, ".") {
		return registry
	}
	return registry + ".azurecr.io"
}

func (l *lint) print(w io.Writer, problems []fileProblem) error {
	if l.output == "json" {
		return printJSON(w, problems, false)
	}
	for _, p := range problems {
		text := p.String()
		if p.Reference != "" && p.Reference != p.Message {
			text += "\n    a server says: " + p.Reference
		}
		if _, err := fmt.Fprintln(w, printable(text)); err != nil {
			return err
		}
	}
	return nil
}

// String is the problem in a line, as compilers tell theirs.
func (p fileProblem) String() string {
	text := fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Severity, p.Message)
	if p.Path != "" && !strings.Contains(p.Message, p.Path) {
		text += " (" + p.Path + ")"
	}
	if p.Nearest != "" {
		text += fmt.Sprintf("; did you mean %s?", p.Nearest)
	}
	return text
}

// printable keeps what a file has from controlling the terminal that shows it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

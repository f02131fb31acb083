// Package cli is the command line: the server's commands, and the client's under the
// names the Azure CLI uses. Started under the name az, the binary takes the lines of
// Azure's documentation as they are printed.
//
// The client's commands are a table (commands.go): a path, flags and a function from
// parsed arguments to a value. Everything after that is common: --query, --output,
// errors with their hints, exit statuses.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/cli/acrtool"
	"github.com/acrux/acrux/internal/sandbox/rootless"
)

// environment is what a command may touch besides its arguments.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	args           []string // all, with the program's name
	started        bool     // the arguments were understood and a command runs
	signals        signals
}

// Exit statuses, those of the Azure CLI.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
)

// Main runs the command line and returns the exit status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if code, was := rootless.Child(); was {
		return code
	}
	if filepath.Base(args[0]) == "acr" {
		return acrtool.Main(args, readVersion().Version, stdout, stderr)
	}
	env := &environment{stdin: stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv, args: args}
	root := newRoot(env)
	root.Use = filepath.Base(args[0])
	table := commands()
	if err := checkTyped(root, table, args[1:]); err != nil {
		return report(stderr, err)
	}
	root.SetArgs(spread(table, args[1:]))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return 0
	}
	if !env.started && !errors.As(err, &usageError{}) && !errors.As(err, new(*problem.Error)) {
		err = seeHelp(cmd, err)
	}
	return report(stderr, err)
}

// notice makes each command tell env that it starts: what fails before is an error in
// how it was called, whatever the parser makes of it.
func notice(env *environment, cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			env.started = true
			return run(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		notice(env, child)
	}
}

func newRoot(env *environment) *cobra.Command {
	root := &cobra.Command{Use: "acrux", Short: "A registry and builder for containers with Azure's interface", SilenceErrors: true, SilenceUsage: true, Version: readVersion().Version}
	root.SetFlagErrorFunc(unknownFlag)
	root.SetUsageFunc(usage)
	root.AddCommand(newServeCommand(env), newStopCommand(env), newDNSCommand(env), newConfigCommand(env), newEnvCommand(env), newAdminCommand(env), newRegistryCommand(env), newRunCommand(env), newLintCommand(env), newPlanCommand(env), newSchemaCommand(env), newVersionCommand(env))
	addClientCommands(root, env)
	notice(env, root)
	return root
}

// usageError is an error in how a command was called.
type usageError struct{ error }

// Unwrap returns what is wrong.
func (e usageError) Unwrap() error { return e.error }

// seeHelp is an error in how a command was called, with the way to how it is.
func seeHelp(cmd *cobra.Command, err error) error {
	return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
}

// exitError ends the program with a status and says nothing more.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// report prints an error with its hints and returns the exit status.
func report(w io.Writer, err error) int {
	var exit exitError
	if errors.As(err, &exit) {
		return int(exit)
	}
	var p *problem.Error
	if !errors.As(err, &p) {
		fmt.Fprintln(w, "error:", err)
		if errors.As(err, &usageError{}) {
			return exitUsage
		}
		return exitFailed
	}
	fmt.Fprintf(w, "error: (%s) %s\n", p.Code, p.Message)
	for _, hint := range p.Hints {
		fmt.Fprintln(w, "hint:", hint)
	}
	switch {
	case errors.As(err, &usageError{}):
		return exitUsage
	case p.Kind == problem.NotFound:
		return exitNotFound
	}
	return exitFailed
}

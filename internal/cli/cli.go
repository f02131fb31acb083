// Package cli is the command line: the server's commands, and the client's under the
// names the Azure CLI uses. Started under the name az, the binary takes the lines of
// Azure's documentation as they are printed.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/arm/problem"
)

// environment is what a command may touch besides its arguments.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

// Main runs the command line and returns the exit status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	env := &environment{stdin: stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv}
	root := newRoot(env)
	root.SetArgs(args[1:])
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(context.Background()); err != nil {
		return report(stderr, err)
	}
	return 0
}

func newRoot(env *environment) *cobra.Command {
	root := &cobra.Command{Use: "acrux", Short: "A registry and builder for containers with Azure's interface", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(newServeCommand(env), newConfigCommand(env), newEnvCommand(env), newAdminCommand(env))
	return root
}

// report prints an error with its hints and returns the exit status.
func report(w io.Writer, err error) int {
	fmt.Fprintln(w, "error:", err)
	var p *problem.Error
	if errors.As(err, &p) {
		for _, hint := range p.Hints {
			fmt.Fprintln(w, "hint:", hint)
		}
	}
	return 1
}

func cutPort(address string) (host, port string, err error) { return net.SplitHostPort(address) }

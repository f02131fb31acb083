package acrtool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// tool is a call of the program.
type tool struct {
	stdout io.Writer
	getenv func(string) string

	// Flags that all commands have.
	registryName, username, password string
	configs                          []string
}

// Main runs the command line, with the program's name first, and returns the exit status.
func Main(args []string, version string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(&tool{stdout: stdout, getenv: os.Getenv}, version)
	root.SetArgs(args[1:])
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		report(stderr, err)
		return 1
	}
	return 0
}

// report prints an error, and what helps.
func report(w io.Writer, err error) {
	var p *problem.Error
	if !errors.As(err, &p) {
		fmt.Fprintln(w, "Error:", err)
		return
	}
	fmt.Fprintln(w, "Error:", p.Message)
	for _, hint := range p.Hints {
		fmt.Fprintln(w, "hint:", hint)
	}
}

func newRoot(t *tool, version string) *cobra.Command {
	root := &cobra.Command{Use: "acr", Short: "Clean up and mark the images of a registry", SilenceErrors: true, SilenceUsage: true}
	flags := root.PersistentFlags()
	flags.StringVarP(&t.registryName, "registry", "r", "", "Registry: its login server, or its name; the run's if it is not given")
	flags.StringVarP(&t.username, "username", "u", "", "User name; the docker configuration's if it is not given")
	flags.StringVarP(&t.password, "password", "p", "", "Password")
	flags.StringArrayVarP(&t.configs, "config", "c", nil, "Docker configuration files")
	root.AddCommand(t.purgeCommand(), t.tagCommand(), t.manifestCommand(), t.annotateCommand(), &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) { fmt.Fprintln(t.stdout, "acr of Acrux", version) },
	})
	return root
}

// open signs in to the registry that is meant.
func (t *tool) open() (*registry, error) {
	server, err := loginServer(t.registryName, t.getenv("ACR_DEFAULT_REGISTRY"))
	if err != nil {
		return nil, err
	}
	if t.username != "" || t.password != "" {
		return newRegistry(server, t.username, secret.New(t.password))
	}
	user, password, err := t.configured(server)
	if err != nil {
		return nil, err
	}
	return newRegistry(server, user, password)
}

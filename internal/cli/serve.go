package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/sandbox/rootless"
)

// serverFlags are those of the commands that start from a server's configuration.
type serverFlags struct {
	data, file     string
	listen, domain string
	dns            string
	changeDomain   bool
}

func (f *serverFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.data, "data", "", dataHelp)
	cmd.Flags().StringVar(&f.file, "config", "", configHelp)
	cmd.Flags().StringVar(&f.listen, "listen", "",
		"address to listen on (default that of the start before, or "+daemon.DefaultListen+")")
	cmd.Flags().StringVar(&f.dns, "dns", "", "address on which a name server answers for the domain, such as 127.0.0.1:53 (default none)")
	cmd.Flags().StringVar(&f.domain, "domain", "",
		"domain of all host names (default that of the start before, or "+daemon.DefaultDomain+")")
	cmd.Flags().BoolVar(&f.changeDomain, "change-domain", false,
		"let --domain be another one than before: all host names change")
}

func (f *serverFlags) config(env *environment) (daemon.Config, error) {
	data, err := env.dataDir(f.data)
	if err != nil {
		return daemon.Config{}, err
	}
	config, err := daemon.LoadConfig(data, f.file, env.getenv)
	if err != nil {
		return config, err
	}
	if f.listen != "" {
		config.Listen = f.listen
	}
	if f.dns != "" {
		config.DNS = f.dns
	}
	if f.domain != "" {
		config.Domain = f.domain
	}
	config.ChangeDomain = f.changeDomain
	return config, config.Complete()
}

const dataHelp = "data directory of the server (default $ACRUX_DATA, or /var/lib/acrux for root, or .local/share/acrux in the home directory)"

const configHelp = "configuration file (default acrux.yaml in the data directory)"

// dataDir is the data directory that was given, or the default one.
func (e *environment) dataDir(given string) (string, error) {
	switch {
	case given != "":
		return given, nil
	case e.getenv("ACRUX_DATA") != "":
		return e.getenv("ACRUX_DATA"), nil
	case os.Geteuid() == 0 && !rootless.Inside():
		return "/var/lib/acrux", nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share", "acrux"), err
}

func newServeCommand(env *environment) *cobra.Command {
	var flags serverFlags
	var background bool
	cmd := &cobra.Command{Use: "serve", Short: "Start a server: control plane, registries and a built-in agent", Args: cobra.NoArgs}
	flags.add(cmd)
	cmd.Flags().BoolVar(&background, "detach", false,
		"go on in the background, and return when the server answers; acrux stop ends it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := flags.config(env)
		if err != nil {
			return err
		}
		if background {
			return detach(cmd.Context(), env, config)
		}
		if !config.Agent.Off && config.Agent.Executor != "docker" && os.Geteuid() != 0 {
			// Without what it takes the server works all the same, and says why it runs nothing.
			if rootless.Available() == nil {
				return insideUserNamespace(env)
			}
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return daemon.Run(ctx, config, newLogger(env.stderr, config.LogLevel), func(p daemon.Published) {
			fmt.Fprintf(env.stdout, "%s%s\n", readyLine, p.URL("management"))
		})
	}
	return cmd
}

// insideUserNamespace runs this very command again as root of a user namespace, where it
// may run steps.
func insideUserNamespace(env *environment) error {
	code, err := rootless.Run(env.args)
	if err == nil && code != 0 {
		err = exitError(code)
	}
	return err
}

// newDNSCommand answers for the names of a server that was started without a name
// server, or that is to stay without one.
func newDNSCommand(env *environment) *cobra.Command {
	var data, listen string
	cmd := &cobra.Command{Use: "dns", Short: "Answer for the names of a server, in place of lines in the hosts file", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&data, "data", "", dataHelp)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:53", "address to listen on, over UDP and TCP")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := env.dataDir(data)
		if err != nil {
			return err
		}
		pub, err := daemon.ReadPublished(dir)
		if err != nil {
			return err
		}
		names, err := daemon.NameServer(listen, pub, newLogger(env.stderr, "info"))
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		fmt.Fprintf(env.stdout, "Answering for %s at %s\n", pub.Domain, names.Address())
		return names.Run(ctx)
	}
	return cmd
}

func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // Config.Complete has checked it
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}

func newConfigCommand(env *environment) *cobra.Command {
	var flags serverFlags
	show := &cobra.Command{Use: "show", Short: "Print the configuration a server would start with", Args: cobra.NoArgs}
	flags.add(show)
	show.RunE = func(*cobra.Command, []string) error {
		config, err := flags.config(env)
		if err != nil {
			return err
		}
		return yaml.NewEncoder(env.stdout).Encode(config)
	}
	cmd := &cobra.Command{Use: "config", Short: "The configuration of a server"}
	cmd.AddCommand(show)
	return cmd
}

// place is the server that a command works on beside it, on its machine.
type place struct{ data, file string }

func (p *place) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.data, "data", "", dataHelp)
	cmd.Flags().StringVar(&p.file, "config", "", configHelp)
}

// load reads the server's configuration.
func (p *place) load(env *environment) (daemon.Config, error) {
	dir, err := env.dataDir(p.data)
	if err != nil {
		return daemon.Config{}, err
	}
	config, err := daemon.LoadConfig(dir, p.file, env.getenv)
	if err != nil {
		return config, err
	}
	return config, config.Complete()
}

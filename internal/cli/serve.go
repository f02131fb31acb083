package cli

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/acrux/acrux/internal/daemon"
)

// serverFlags are those of the commands that start from a server's configuration.
type serverFlags struct {
	data, file     string
	listen, domain string
}

func (f *serverFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.data, "data", "", "directory that holds everything the server keeps")
	cmd.Flags().StringVar(&f.file, "config", "", "configuration file (default acrux.yaml in the data directory)")
	cmd.Flags().StringVar(&f.listen, "listen", "", "address to listen on (default "+daemon.DefaultListen+")")
	cmd.Flags().StringVar(&f.domain, "domain", "", "domain of all host names (default "+daemon.DefaultDomain+")")
	_ = cmd.MarkFlagRequired("data") // the flag exists
}

func (f *serverFlags) config(env *environment) (daemon.Config, error) {
	config, err := daemon.LoadConfig(f.data, f.file, env.getenv)
	if err != nil {
		return config, err
	}
	if f.listen != "" {
		config.Listen = f.listen
	}
	if f.domain != "" {
		config.Domain = f.domain
	}
	return config, config.Complete()
}

func newServeCommand(env *environment) *cobra.Command {
	var flags serverFlags
	cmd := &cobra.Command{Use: "serve", Short: "Start a server: control plane, registries and a built-in agent", Args: cobra.NoArgs}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := flags.config(env)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return daemon.Run(ctx, config, newLogger(env.stderr, config.LogLevel), func(p daemon.Published) {
			fmt.Fprintf(env.stdout, "Acrux is ready at %s\n", p.URL("management"))
		})
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

// newEnvCommand prints what other clients need, for a shell's eval.
func newEnvCommand(env *environment) *cobra.Command {
	var data string
	cmd := &cobra.Command{Use: "env", Short: "Print what clients and scripts need, as shell exports", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&data, "data", "", "data directory of the server")
	_ = cmd.MarkFlagRequired("data") // the flag exists
	cmd.RunE = func(*cobra.Command, []string) error { return printEnv(env.stdout, data) }
	return cmd
}

// Exports are the variables by which clients find a server and sign in.
func Exports(p daemon.Published, admin daemon.Admin) map[string]string {
	all := map[string]string{
		"ARM_ENDPOINT": p.URL("management"), "AD_ENDPOINT": p.URL("login") + "/adfs", "GRAPH_ENDPOINT": p.URL("graph"), "ACR_SUFFIX": ".azurecr." + p.Suffix(),
		"CA_BUNDLE": p.CABundle, "TENANT_ID": p.TenantID, "SUBSCRIPTION_ID": p.SubscriptionID, "SP_ID": admin.ClientID, "ACRUX_ADDRESS": p.Address,
	}
	if admin.Secret != "" {
		all["SP_SECRET"] = admin.Secret
	}
	return all
}

func printEnv(w io.Writer, data string) error {
	p, err := daemon.ReadPublished(data)
	if err != nil {
		return fmt.Errorf("no server has run on %s yet: %w", data, err)
	}
	admin, err := daemon.ReadAdmin(data)
	if err != nil {
		return err
	}
	exports := Exports(p, admin)
	for _, name := range slices.Sorted(maps.Keys(exports)) {
		fmt.Fprintf(w, "export %s='%s'\n", name, exports[name])
	}
	if admin.Secret == "" {
		fmt.Fprintln(w, "# SP_SECRET was forgotten on request; only its owner still knows it")
	}
	fmt.Fprintln(w, "# lines for the hosts file, for clients that need names; add one for each registry:")
	host, _, _ := strings.Cut(p.Address, ":")
	for _, name := range []string{"management", "login", "graph", "acrlogs.blob", "REGISTRY.azurecr"} {
		fmt.Fprintf(w, "# %s %s.%s\n", host, name, p.Domain)
	}
	return nil
}

func newAdminCommand(env *environment) *cobra.Command {
	var data string
	forget := &cobra.Command{Use: "forget-secret", Short: "Remove the clear copy of the administrator's secret from the data directory", Args: cobra.NoArgs}
	forget.Flags().StringVar(&data, "data", "", "data directory of the server")
	_ = forget.MarkFlagRequired("data") // the flag exists
	forget.RunE = func(*cobra.Command, []string) error {
		had, err := daemon.ForgetSecret(data)
		if err == nil && !had {
			fmt.Fprintln(env.stdout, "There was no clear copy any more.")
		}
		return err
	}
	cmd := &cobra.Command{Use: "admin", Short: "The first administrator"}
	cmd.AddCommand(forget)
	return cmd
}

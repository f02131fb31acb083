package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/daemon"
)

// newEnvCommand prints what other clients need, for a shell's eval, and prepares the
// machine for them when asked to.
func newEnvCommand(env *environment) *cobra.Command {
	var data string
	var o envOptions
	cmd := &cobra.Command{Use: "env", Short: "Print what clients and scripts need, as shell exports", Args: cobra.NoArgs,
		Long: "Print what clients and scripts need, as shell exports: of the server in a data directory,\n" +
			"or where there is none of the one that the last login was at."}
	cmd.Flags().StringVar(&data, "data", "", dataHelp)
	cmd.Flags().BoolVar(&o.az, "az", false, "also write what the stock Azure CLI needs, and print the commands that point it here")
	cmd.Flags().BoolVar(&o.hosts, "install-hosts", false, "also write the names of the server's hosts into the hosts file")
	cmd.Flags().BoolVar(&o.docker, "docker", false, "also let docker trust the registries' certificates")
	cmd.Flags().StringArrayVar(&o.names, "registry", nil, "name of a registry that you may not list; may be repeated")
	cmd.Flags().BoolVar(&o.undo, "undo", false, "take back what --az, --install-hosts and --docker did")
	cmd.Flags().StringVar(&o.hostsFile, "hosts-file", "/etc/hosts", "the hosts file")
	cmd.Flags().StringVar(&o.certsDir, "certs-dir", "/etc/docker/certs.d", "where docker looks for certificates")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		err := o.run(cmd.Context(), env, data)
		if err != nil {
			fmt.Fprintln(env.stdout, "false # acrux env failed") // what eval ends with
		}
		return err
	}
	return cmd
}

type envOptions struct {
	az, hosts, docker, undo bool
	hostsFile, certsDir     string
	names                   []string // of registries that are not listed
}

// run prepares for the server of a data directory; if none is given, there may be one in the
// usual place, or elsewhere.
func (o envOptions) run(ctx context.Context, env *environment, given string) error {
	data, err := env.dataDir(given)
	if err != nil {
		return err
	}
	m, err := o.remoteMachine(ctx, env, given, data)
	if m == nil && err == nil {
		if !o.undo {
			awaitServer(ctx, env, data)
		}
		m, err = readMachine(data, o)
	}
	if err != nil {
		return err
	}
	if o.undo {
		return m.undo(env)
	}
	if err := m.listRegistries(ctx, env); err != nil {
		return err
	}
	return m.prepare(env)
}

// Exports are the variables by which clients find a server and sign in.
func Exports(p daemon.Published, admin daemon.Admin) map[string]string {
	all := map[string]string{
		"ARM_ENDPOINT": p.URL("management"), "AD_ENDPOINT": p.URL("login") + "/adfs", "GRAPH_ENDPOINT": p.URL("graph"), "ACR_SUFFIX": ".azurecr." + p.Suffix(),
		"CA_BUNDLE": p.CABundle, "TENANT_ID": p.TenantID, "SUBSCRIPTION_ID": p.SubscriptionID, "ACRUX_ADDRESS": p.Address,
	}
	if admin.ClientID != "" {
		all["SP_ID"] = admin.ClientID
	}
	if admin.Secret != "" {
		all["SP_SECRET"] = admin.Secret
	}
	return all
}

// machine is the machine that clients of a server are prepared on.
type machine struct {
	envOptions
	clientsDir string // where the files for other clients are
	remote     bool   // the server has no data directory here
	server     daemon.Published
	admin      daemon.Admin // empty where the server is on another machine
	registries []string     // host names of login servers, without port
}

func noServerYet(data string, err error) error {
	return problem.New(problem.NotFound, "NoServer", "No server has run on %s yet.", data).
		Hint("acrux serve --data %s --detach", data).
		Hint("acrux login --server HOST:PORT, if it runs on another machine").Because(err)
}

func readMachine(data string, o envOptions) (*machine, error) {
	dir, err := filepath.Abs(filepath.Join(data, "clients"))
	if err != nil {
		return nil, err
	}
	m := &machine{envOptions: o, clientsDir: dir}
	if m.server, err = daemon.ReadPublished(data); err != nil {
		return nil, noServerYet(data, err)
	}
	m.admin, err = daemon.ReadAdmin(data)
	return m, err
}

// quote makes one word of a text for a shell: a path may have anything in it.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// prepare does what was asked for and prints the exports.
func (m *machine) prepare(env *environment) error {
	w := env.stdout
	if err := m.record(); err != nil {
		return err
	}
	exports := Exports(m.server, m.admin)
	for _, name := range slices.Sorted(maps.Keys(exports)) {
		fmt.Fprintf(w, "export %s=%s\n", name, quote(exports[name]))
	}
	if m.admin.ClientID != "" && m.admin.Secret == "" {
		fmt.Fprintln(w, "# SP_SECRET was forgotten on request; only its owner still knows it")
	}
	if m.az {
		if err := m.prepareAz(env); err != nil {
			return err
		}
	}
	if m.docker {
		if err := m.writeCerts(); err != nil {
			return err
		}
	}
	if m.hosts {
		return m.writeHosts(m.block())
	}
	fmt.Fprintln(w, "# lines for the hosts file, for clients that need names (--install-hosts writes them); one for each registry:")
	for _, line := range m.hostLines() {
		fmt.Fprintln(w, "#", line)
	}
	if len(m.registries) == 0 {
		fmt.Fprintf(w, "# %s REGISTRY.azurecr.%s\n", m.address(), m.server.Domain)
	}
	return nil
}

func (m *machine) address() string { return hostOf(m.server.Address) }

func (m *machine) hostLines() []string {
	var lines []string
	for _, host := range []string{"management", "login", "graph", "hooks", "acrctx.blob", "acrlogs.blob"} {
		lines = append(lines, m.address()+" "+host+"."+m.server.Domain)
	}
	for _, name := range m.registries {
		lines = append(lines, m.address()+" "+name)
	}
	return lines
}

// portNote tells who reads the output what a port costs. To a shell it is a comment.
const portNote = `# 'az acr check-health' of the Azure CLI takes a login server for a host, port and all, and fails:
# let the server listen on port 443 (listen: 127.0.0.1:443), or ask 'acrux acr check-health'.
`

// writeCloud describes the server to the Azure CLI, az-wire 2.1.
func (m *machine) writeCloud(file string) error {
	p := m.server
	management, graph := p.URL("management"), p.URL("graph")
	text, err := json.MarshalIndent(map[string]any{
		"endpoints": map[string]string{"resourceManager": management, "management": management, "activeDirectory": p.URL("login") + "/adfs",
			"activeDirectoryResourceId": management, "activeDirectoryGraphResourceId": graph, "microsoftGraphResourceId": graph},
		"suffixes": map[string]string{"acrLoginServerEndpoint": ".azurecr." + p.Suffix(), "keyvaultDns": ".vault." + p.Suffix(), "storageEndpoint": p.Suffix()},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

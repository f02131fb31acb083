package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
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
	cmd := &cobra.Command{Use: "env", Short: "Print what clients and scripts need, as shell exports", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&data, "data", "", dataHelp)
	cmd.Flags().BoolVar(&o.az, "az", false, "also write what the stock Azure CLI needs, and print the commands that point it here")
	cmd.Flags().BoolVar(&o.hosts, "install-hosts", false, "also write the names of the server's hosts into the hosts file")
	cmd.Flags().BoolVar(&o.docker, "docker", false, "also let docker trust the registries' certificates")
	cmd.Flags().BoolVar(&o.undo, "undo", false, "take back what --az, --install-hosts and --docker did")
	cmd.Flags().StringVar(&o.hostsFile, "hosts-file", "/etc/hosts", "the hosts file")
	cmd.Flags().StringVar(&o.certsDir, "certs-dir", "/etc/docker/certs.d", "where docker looks for certificates")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := env.dataDir(data)
		if err != nil {
			return err
		}
		if err := o.run(cmd.Context(), env, dir); err != nil {
			fmt.Fprintln(env.stdout, "false # acrux env failed") // what eval ends with
			return err
		}
		return nil
	}
	return cmd
}

type envOptions struct {
	az, hosts, docker, undo bool
	hostsFile, certsDir     string
}

func (o envOptions) run(ctx context.Context, env *environment, data string) error {
	if !o.undo {
		awaitServer(ctx, env, data)
	}
	m, err := readMachine(data, o)
	if err != nil {
		return err
	}
	if o.undo {
		return m.undo(env.stdout)
	}
	if err := m.names(ctx, env); err != nil {
		return err
	}
	return m.prepare(env.stdout)
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

// machine is the machine that clients of a server are prepared on.
type machine struct {
	envOptions
	data       string
	server     daemon.Published
	admin      daemon.Admin
	registries []string // host names of login servers, without port
}

func readMachine(data string, o envOptions) (*machine, error) {
	m := &machine{envOptions: o, data: data}
	var err error
	if m.server, err = daemon.ReadPublished(data); err != nil {
		return nil, problem.New(problem.NotFound, "NoServer", "No server has run on %s yet.", data).
			Hint("acrux serve --data %s --detach", data).Because(err)
	}
	m.admin, err = daemon.ReadAdmin(data)
	return m, err
}

// quote makes one word of a text for a shell: a path may have anything in it.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// prepare does what was asked for and prints the exports.
func (m *machine) prepare(w io.Writer) error {
	exports := Exports(m.server, m.admin)
	for _, name := range slices.Sorted(maps.Keys(exports)) {
		fmt.Fprintf(w, "export %s=%s\n", name, quote(exports[name]))
	}
	if m.admin.Secret == "" {
		fmt.Fprintln(w, "# SP_SECRET was forgotten on request; only its owner still knows it")
	}
	if m.az {
		if err := m.prepareAz(w); err != nil {
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

func (m *machine) address() string {
	host, _, _ := net.SplitHostPort(m.server.Address) // the server wrote it
	return host
}

func (m *machine) hostLines() []string {
	var lines []string
	for _, host := range []string{"management", "login", "graph", "acrctx.blob", "acrlogs.blob"} {
		lines = append(lines, m.address()+" "+host+"."+m.server.Domain)
	}
	for _, name := range m.registries {
		lines = append(lines, m.address()+" "+name)
	}
	return lines
}

// clientsDir is where the files for other clients are.
func (m *machine) clientsDir() string { return filepath.Join(m.data, "clients") }

// systemRoots are the files in which systems keep the authorities they trust.
var systemRoots = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

// prepareAz writes a CA bundle and the description of the cloud, and prints what
// makes the Azure CLI use them.
func (m *machine) prepareAz(w io.Writer) error {
	dir, err := filepath.Abs(m.clientsDir())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	bundle, cloud := filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "cloud.json")
	if err := m.writeBundle(bundle); err != nil {
		return err
	}
	if err := m.writeCloud(cloud); err != nil {
		return err
	}
	if strings.Contains(m.server.Suffix(), ":") {
		fmt.Fprint(w, portNote)
	}
	fmt.Fprintf(w, "export REQUESTS_CA_BUNDLE=%[1]s\nexport SSL_CERT_FILE=%[1]s\n", quote(bundle))
	fmt.Fprintf(w, "az cloud register --name Acrux --cloud-config %[1]s 2>/dev/null || az cloud update --name Acrux --cloud-config %[1]s\naz cloud set --name Acrux\n", quote("@"+cloud))
	if m.admin.Secret != "" {
		fmt.Fprintln(w, `az login --service-principal --username "$SP_ID" --password "$SP_SECRET" --tenant "$TENANT_ID" --output none`)
	}
	return nil
}

// portNote tells who reads the output what a port costs. To a shell it is a comment.
const portNote = `# 'az acr check-health' of the Azure CLI takes a login server for a host, port and all, and fails:
# let the server listen on port 443 (listen: 127.0.0.1:443), or ask 'acrux acr check-health'.
`

func (m *machine) writeBundle(file string) error {
	own, err := os.ReadFile(m.server.CABundle)
	if err != nil {
		return err
	}
	for _, roots := range systemRoots {
		if system, err := os.ReadFile(roots); err == nil {
			own = append(append(system, '\n'), own...)
			break
		}
	}
	return os.WriteFile(file, own, 0o644)
}

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

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/secret"
)

// names asks the server for its registries, if it can be asked: without the
// administrator's secret or while the server is down there are none.
func (m *machine) names(ctx context.Context, env *environment) error {
	if m.admin.Secret == "" {
		fmt.Fprintln(env.stderr,
			"note: the administrator's secret was forgotten, so the names of registries cannot be listed and are left out")
		return nil
	}
	p := m.server
	c, err := client.New(client.Profile{Management: p.URL("management"), Authority: p.URL("login") + "/adfs", GraphURL: p.URL("graph"), Address: p.Address,
		CABundle: p.CABundle, Tenant: p.TenantID, Subscription: p.SubscriptionID, ClientID: m.admin.ClientID, Secret: secret.New(m.admin.Secret)}, "")
	if err != nil {
		return err
	}
	call := &call{environment: env, client: c}
	all, err := call.listAll(ctx, call.subscription().String()+"/providers/"+registryKind.String(), registriesVersion)
	if err != nil {
		fmt.Fprintln(env.stderr, "note: the server does not answer, so its registries' names are left out")
		return nil
	}
	for _, doc := range flattenAll(all) {
		server, _ := doc["loginServer"].(string) // every registry has one
		name, _, _ := strings.Cut(server, ":")
		m.registries = append(m.registries, name)
	}
	return nil
}

// The lines around what is ours in the hosts file.
func (m *machine) begin() string { return "# acrux begin " + m.server.Domain }
func (m *machine) end() string   { return "# acrux end " + m.server.Domain }

func (m *machine) block() string {
	return m.begin() + "\n" + strings.Join(m.hostLines(), "\n") + "\n" + m.end() + "\n"
}

// writeHosts puts block, which may be empty, in the place of what was ours before. The
// file is written in place: containers often have it mounted, where it cannot be replaced.
func (m *machine) writeHosts(block string) error {
	text, err := os.ReadFile(m.hostsFile)
	if block == "" && errors.Is(err, fs.ErrNotExist) {
		return nil // there is nothing to take back
	}
	if err != nil {
		return fmt.Errorf("the hosts file: %w", err)
	}
	before, err := m.withoutBlock(string(text))
	if err != nil {
		return err
	}
	if block != "" && before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	if next := before + block; next != string(text) {
		return os.WriteFile(m.hostsFile, []byte(next), 0o644)
	}
	return nil
}

// withoutBlock returns the lines of a hosts file that are not ours. Where ours end must
// be clear: the lines of others are worth more than a clean file.
func (m *machine) withoutBlock(text string) (string, error) {
	var kept strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		switch word := strings.TrimSpace(line); {
		case word == m.begin() && !inside:
			inside = true
		case word == m.end() && inside:
			inside = false
		case word == m.begin() || word == m.end():
			return "", fmt.Errorf("the hosts file %s has a line %q where it does not belong; mend it by hand", m.hostsFile, word)
		case !inside:
			kept.WriteString(line)
		}
	}
	if inside {
		return "", fmt.Errorf("the hosts file %s has a line %q and no line %q; mend it by hand", m.hostsFile, m.begin(), m.end())
	}
	return kept.String(), nil
}

// certFile is where docker looks for the authority of a registry.
func (m *machine) certFile(registry string) string {
	host := registry
	if m.server.Port != "443" {
		host += ":" + m.server.Port
	}
	return filepath.Join(m.certsDir, host, "ca.crt")
}

func (m *machine) writeCerts() error {
	ca, err := os.ReadFile(m.server.CABundle)
	if err != nil {
		return err
	}
	for _, registry := range m.registries {
		file := m.certFile(registry)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("docker's certificates: %w", err)
		}
		if err := os.WriteFile(file, ca, 0o644); err != nil {
			return fmt.Errorf("docker's certificates: %w", err)
		}
	}
	return nil
}

// undo takes back what prepare did, and prints what the shell has to forget.
func (m *machine) undo(w io.Writer) error {
	fmt.Fprintln(w, "unset ARM_ENDPOINT AD_ENDPOINT GRAPH_ENDPOINT ACR_SUFFIX CA_BUNDLE TENANT_ID SUBSCRIPTION_ID SP_ID SP_SECRET ACRUX_ADDRESS")
	if _, err := os.Stat(m.clientsDir()); err == nil {
		fmt.Fprintln(w, "az cloud set --name AzureCloud && az cloud unregister --name Acrux\nunset REQUESTS_CA_BUNDLE SSL_CERT_FILE")
	}
	return errors.Join(os.RemoveAll(m.clientsDir()), m.writeHosts(""), m.removeCerts())
}

// removeCerts removes the certificates that are this server's authority, whatever
// registries there are now.
func (m *machine) removeCerts() error {
	ca, err := os.ReadFile(m.server.CABundle)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // which of them are ours cannot be told
	}
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(m.certsDir, "*", "ca.crt"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(text, ca) {
			continue // somebody else's
		}
		if err := os.Remove(file); err != nil {
			return err
		}
		_ = os.Remove(filepath.Dir(file)) // fails if the folder has other files
	}
	return nil
}

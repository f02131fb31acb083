package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// listRegistries asks the server for its registries, if it can be asked: without the
// administrator's secret or a login, or while the server is down, there are just those that
// were named.
func (m *machine) listRegistries(ctx context.Context, env *environment) error {
	for _, name := range m.names {
		if err := m.addNamed(name); err != nil {
			return err
		}
	}
	c, err := m.signedIn(env)
	if err != nil {
		env.note("the names of registries are left out: %v", err)
		return nil
	}
	if c == nil {
		env.note("the administrator's secret was forgotten and nobody has signed in, so the names of registries " +
			"cannot be listed and are left out: acrux login, or --registry NAME")
		return nil
	}
	call := &call{environment: env, client: c}
	all, err := call.listAll(ctx, call.subscription().String()+"/providers/"+registryKind.String(), registriesVersion)
	var p *problem.Error
	switch {
	case errors.As(err, &p) && p.Kind == problem.Denied:
		env.note("%s may not list registries, so their names are left out: --registry NAME names one", whoIs(c.Profile))
		return nil
	case err != nil:
		env.note("the server does not answer, so its registries' names are left out")
		return nil
	}
	for _, doc := range flattenAll(all) {
		server, _ := doc["loginServer"].(string) // every registry has one
		if err := m.addServed(server); err != nil {
			return err
		}
	}
	return nil
}

// addNamed adds the host of a registry that a user names, or whose login server he gives.
func (m *machine) addNamed(given string) error {
	name, _, _ := strings.Cut(given, ".")
	if !registryName.MatchString(name) {
		return invalidArgument("--registry %q is not the name of a registry, which has 5 to 50 letters and digits", given)
	}
	m.add(name)
	return nil
}

// addServed adds the host of a login server. A server that somebody signed in at may be anybody's,
// and what it says is written where it may do harm: the names of its own registries, and nothing else.
func (m *machine) addServed(server string) error {
	host, _, _ := strings.Cut(server, ":")
	name, domain, _ := strings.Cut(host, ".")
	if !registryName.MatchString(name) || domain != "azurecr."+m.server.Domain {
		return problem.New(problem.Denied, "UnexpectedName",
			"the server says that a registry is at %q, which is no name of its own", server)
	}
	m.add(name)
	return nil
}

func (m *machine) add(name string) {
	host := strings.ToLower(name) + ".azurecr." + m.server.Domain
	if !slices.Contains(m.registries, host) {
		m.registries = append(m.registries, host)
	}
}

// note tells something beside the output.
func (e *environment) note(format string, args ...any) {
	fmt.Fprintf(e.stderr, "note: "+format+"\n", args...)
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
	if m.server.CABundle == "" {
		return nil // docker trusts the server as this system does
	}
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
func (m *machine) undo(env *environment) error {
	w := env.stdout
	fmt.Fprintln(w, "unset ARM_ENDPOINT AD_ENDPOINT GRAPH_ENDPOINT ACR_SUFFIX CA_BUNDLE TENANT_ID SUBSCRIPTION_ID SP_ID SP_SECRET ACRUX_ADDRESS")
	return errors.Join(m.undoAz(env, w), os.RemoveAll(m.clientsDir), m.writeHosts(""), m.removeCerts())
}

// removeCerts removes the certificates that are this server's authority, whatever
// registries there are now.
func (m *machine) removeCerts() error {
	ca, err := os.ReadFile(m.server.CABundle)
	if errors.Is(err, fs.ErrNotExist) || m.server.CABundle == "" {
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

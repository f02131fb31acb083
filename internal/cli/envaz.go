package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// bundleVariables name the file of authorities that Python's programs trust, the Azure CLI
// among them. Others set them as well: what they were is kept in a variable with the prefix
// before ours counts, and put back by --undo.
var bundleVariables = []string{"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}

const formerPrefix = "ACRUX_FORMER_"

// systemRoots are the files in which systems keep the authorities they trust.
var systemRoots = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

// prepareAz writes a CA bundle and the description of the cloud, and prints what
// makes the Azure CLI use them.
func (m *machine) prepareAz(env *environment) error {
	w, dir := env.stdout, m.clientsDir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	cloud := filepath.Join(dir, "cloud.json")
	if err := errors.Join(m.writeBundle(env), m.writeCloud(cloud), m.keepCloud(env)); err != nil {
		return err
	}
	if strings.Contains(m.server.Suffix(), ":") {
		fmt.Fprint(w, portNote)
	}
	for _, name := range bundleVariables {
		if former := m.former(env, name); former != "" {
			fmt.Fprintf(w, "export %s%s=%s\n", formerPrefix, name, quote(former))
		}
		fmt.Fprintf(w, "export %s=%s\n", name, quote(m.bundle()))
	}
	fmt.Fprintf(w, "az cloud register --name Acrux --cloud-config %[1]s 2>/dev/null || az cloud update --name Acrux --cloud-config %[1]s\n"+
		"az cloud set --name Acrux\n", quote("@"+cloud))
	switch {
	case m.admin.Secret != "":
		fmt.Fprintln(w, `az login --service-principal --username "$SP_ID" --password "$SP_SECRET" --tenant "$TENANT_ID" --output none`)
	case m.admin.ClientID == "":
		fmt.Fprintln(w, "# the Azure CLI signs in for itself: az login --use-device-code")
	}
	return nil
}

// bundle is the file of all that the Azure CLI is to trust.
func (m *machine) bundle() string { return filepath.Join(m.clientsDir, "bundle.pem") }

// former is what a variable was before ours counted: now, or when it was kept.
func (m *machine) former(env *environment, name string) string {
	if now := env.getenv(name); now != m.bundle() {
		return now
	}
	return env.getenv(formerPrefix + name)
}

// writeBundle puts the server's authority beside those that are trusted anyway.
func (m *machine) writeBundle(env *environment) error {
	var all []byte
	for _, file := range append([]string{m.former(env, bundleVariables[0])}, systemRoots...) {
		if text, err := os.ReadFile(file); err == nil {
			all = append(text, '\n')
			break
		}
	}
	if m.server.CABundle != "" {
		own, err := os.ReadFile(m.server.CABundle)
		if err != nil {
			return err
		}
		all = append(all, own...)
	}
	return os.WriteFile(m.bundle(), all, 0o644)
}

// formerCloud has the name of the cloud that the Azure CLI was at.
func (m *machine) formerCloud() string { return filepath.Join(m.clientsDir, "former-cloud") }

// keepCloud remembers the cloud that the Azure CLI is at, unless it is this one.
func (m *machine) keepCloud(env *environment) error {
	name := cloudOf(env)
	if name == "" || name == "Acrux" {
		return nil
	}
	return os.WriteFile(m.formerCloud(), []byte(name+"\n"), 0o644)
}

// cloudOf reads the name in the Azure CLI's configuration, an INI file; empty if there is
// none, which means AzureCloud.
func cloudOf(env *environment) string {
	dir := env.getenv("AZURE_CONFIG_DIR")
	if home, err := os.UserHomeDir(); dir == "" && err == nil {
		dir = filepath.Join(home, ".azure")
	}
	text, err := os.ReadFile(filepath.Join(dir, "config"))
	if err != nil {
		return ""
	}
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		} else if key, value, ok := strings.Cut(line, "="); ok && section == "[cloud]" && strings.TrimSpace(key) == "name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// undoAz prints what takes back what prepareAz printed.
func (m *machine) undoAz(env *environment, w io.Writer) error {
	for _, name := range bundleVariables {
		former := env.getenv(formerPrefix + name)
		switch now := env.getenv(name); {
		case now != "" && now != m.bundle(): // somebody else's by now
		case former != "":
			fmt.Fprintf(w, "export %s=%s\n", name, quote(former))
		default:
			fmt.Fprintf(w, "unset %s\n", name)
		}
		if former != "" {
			fmt.Fprintf(w, "unset %s%s\n", formerPrefix, name)
		}
	}
	if _, err := os.Stat(filepath.Join(m.clientsDir, "cloud.json")); err != nil {
		return nil // it was not prepared
	}
	cloud := "AzureCloud"
	text, err := os.ReadFile(m.formerCloud())
	if err == nil {
		cloud = strings.TrimSpace(string(text))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fmt.Fprintf(w, "az cloud set --name %s && az cloud unregister --name Acrux\n", quote(cloud))
	return nil
}

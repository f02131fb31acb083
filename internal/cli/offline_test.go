package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/daemon"
)

// What is wrong with a line is told without a server, with the Azure CLI's status.
func TestUsage(t *testing.T) {
	t.Setenv("ACRUX_CONFIG_DIR", t.TempDir())
	t.Setenv("ARM_ENDPOINT", "")
	tests := []struct {
		name, in string
		status   int
		want     string
	}{
		{"unknown command", "frobnicate", 2, "frobnicate"},
		{"unknown subcommand", "acr frobnicate", 2, "frobnicate"},
		{"unknown flag", "acr list --frobnicate", 2, "frobnicate"},
		{"missing flag", "acr create --name x", 2, "required flag"},
		{"argument too many", "acr list x", 2, "one word too many"},
		{"two sources", "acr run -r r a b", 2, "'b' is one word too many"},
		{"a slip in a command", "acr task creat", 2, "did you mean create?"},
		{"a slip in a group", "acr taks list", 2, "did you mean task?"},
		{"a slip in a group that is not there", "kevault list", 2, "did you mean keyvault, which is not in Acrux yet?"},
		{"a slip in an option", "acr list --ouput json", 2, "did you mean --output?"},
		{"a short form of an option", "acr list --out json", 2, "did you mean --output?"},
		{"a slip in a value", "acr create --name n --resource-group g --sku Standrd", 2, "did you mean Standard?"},
		{"a slip in a format", "acr list --output tabel", 2, "did you mean table?"},
		{"a value in small letters", "acr create --name n --resource-group g --sku standard", 1, "NotSignedIn"},
		{"a name without its option", "acr show r", 2, "did you mean --name r?"},
		{"an empty variable", "role assignment create --assignee --scope /s --role AcrPull", 2, "--assignee got '--scope' for its value: an empty variable?"},
		{"an empty variable among several", "role assignment delete --ids --scope /s", 2, "--ids got '--scope'"},
		{"a value with dashes", "acr run --registry r --cmd --version /dev/null", 1, "NotSignedIn"},
		{"not there yet", "acr webhook create -r R --actions push", 1, "'az acr webhook create' is not in Acrux yet"},
		{"a group that is not there yet", "acr webhook", 1, "'az acr webhook' is not in Acrux yet"},
		{"another service", "vm list --output json", 1, "'az vm' is not in Acrux yet"},
		{"an option that is not there yet", "acr create --name n --role-assignment-mode x", 1, "'az acr create --role-assignment-mode' is not in Acrux yet"},
		{"bad query", "acr list --query a[", 2, "--query"},
		{"bad format", "acr list --output xml", 2, "none of json, jsonc"},
		{"empty name", "group show --name=", 2, "--name is empty"},
		{"a path as a name", "group delete --yes --name g/providers/x", 2, "is not a name"},
		{"not signed in", "acr list", 1, "NotSignedIn"},
		{"not signed in, at another machine", "acr list", 1, "acrux login --server HOST:PORT"},
		{"logout of nobody", "logout", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs strings.Builder
			status := Main(append([]string{"az"}, strings.Fields(tt.in)...), strings.NewReader(""), &out, &errs)
			if status != tt.status || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("status %d: %s", status, errs.String())
			}
		})
	}
}

// A damaged profile is named, and logging out mends it.
func TestDamagedProfile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ACRUX_CONFIG_DIR", dir)
	t.Setenv("ARM_ENDPOINT", "")
	file := filepath.Join(dir, "profile.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	if status := Main([]string{"az", "acr", "list"}, nil, &errs, &errs); status != 1 || !strings.Contains(errs.String(), "hint: acrux logout") {
		t.Errorf("status %d: %s", status, errs.String())
	}
	if status := Main([]string{"az", "logout"}, nil, &errs, &errs); status != 0 {
		t.Errorf("logging out: %d", status)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the profile is still there")
	}
}

func TestHostsBlock(t *testing.T) {
	m := &machine{server: daemon.Published{Domain: "a.test"}}
	begin, end := m.begin()+"\n", m.end()+"\n"
	tests := []struct{ name, in, want, err string }{
		{"none", "1 a\n", "1 a\n", ""},
		{"one", "1 a\n" + begin + "x\n" + end + "2 b\n", "1 a\n2 b\n", ""},
		{"two", begin + end + "1 a\n" + begin + "x\n" + end, "1 a\n", ""},
		{"no line end after it", begin + "x\n" + m.end(), "", ""},
		{"another server's", "# acrux begin b.test\nx\n", "# acrux begin b.test\nx\n", ""},
		{"never closed", begin + "x\n", "", "no line"},
		{"never opened", end, "", "does not belong"},
		{"opened twice", begin + begin + end, "", "does not belong"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := m.withoutBlock(tt.in)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	m.hostsFile = filepath.Join(t.TempDir(), "missing")
	if err := m.writeHosts(""); err != nil {
		t.Errorf("taking back without a file: %v", err)
	}
	m.server.Address = "[::1]:8443"
	if m.address() != "::1" || quote("it's") != `'it'\''s'` {
		t.Errorf("the address is %s, the word %s", m.address(), quote("it's"))
	}
}

func TestNumbersAndRoles(t *testing.T) {
	for format, want := range map[string]string{"tsv": "12345678\n", "yaml": "12345678\n", "JSON": "12345678\n"} {
		var b strings.Builder
		o := output{format: format}
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
		if err := o.print(&b, 12345678, nil); err != nil || b.String() != want {
			t.Errorf("%s: %q, %v", format, b.String(), err)
		}
	}
	if sameRole("d", "/x/abcd") || !sameRole("/a/ABCD", "/x/abcd") {
		t.Error("roles are compared by the end of their IDs")
	}
}

package cli

import (
	"slices"
	"testing"

	"github.com/acrux/acrux/internal/daemon"
)

// Names of registries end in the hosts file, in paths and in what a shell evaluates: nothing
// gets there that is no name, whoever says it.
func TestRegistryHosts(t *testing.T) {
	for name, test := range map[string]struct {
		add  func(*machine, string) error
		in   string
		want string // the host; empty if it is refused
	}{
		"of a user":                   {(*machine).addNamed, "MyRegistry", "myregistry.azurecr.a.test"},
		"of a user, a login server":   {(*machine).addNamed, "myregistry.azurecr.a.test:8443", "myregistry.azurecr.a.test"},
		"of a user, none":             {(*machine).addNamed, "", ""},
		"of a user, two words":        {(*machine).addNamed, "my registry", ""},
		"of a user, a path":           {(*machine).addNamed, "../../etc", ""},
		"of a server":                 {(*machine).addServed, "myregistry.azurecr.a.test:8443", "myregistry.azurecr.a.test"},
		"of a server, without a port": {(*machine).addServed, "myregistry.azurecr.a.test", "myregistry.azurecr.a.test"},
		"of a server, none":           {(*machine).addServed, "", ""},
		"of a server, a line":         {(*machine).addServed, "myregistry\ntouch x #.azurecr.a.test:8443", ""},
		"of a server, a path":         {(*machine).addServed, "../../x.azurecr.a.test:8443", ""},
		"of a server, another domain": {(*machine).addServed, "myregistry.azurecr.b.test:8443", ""},
	} {
		m := machine{server: daemon.Published{Domain: "a.test", Port: "8443"}}
		err := test.add(&m, test.in)
		if test.want == "" && (err == nil || len(m.registries) > 0) {
			t.Errorf("%s: %q is taken: %q", name, test.in, m.registries)
		}
		if want := []string{test.want}; test.want != "" && (err != nil || !slices.Equal(m.registries, want)) {
			t.Errorf("%s: %q, %v", name, m.registries, err)
		}
	}
}

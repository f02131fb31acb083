package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestPrivilegedConfig(t *testing.T) {
	const mine = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/mine1"
	for _, test := range []struct {
		text     string
		mine     bool
		other    bool
		shown    string
		mistaken bool
	}{
		{"", false, false, "false", false},
		{"agent: {privileged: true}", true, true, "true", false},
		{"agent: {privileged: false}", false, false, "false", false},
		{"agent: {privileged: [" + mine + "]}", true, false, "- /subscriptions/s/", false},
		{"agent: {privileged: [/RESOURCEGROUPS/g/providers/Microsoft.ContainerRegistry/registries/MINE1]}", true, false, "- /RESOURCEGROUPS", false},
		{"agent: {privileged: [mine1]}", false, false, "", true},
		{"agent: {privileged: []}", false, false, "false", false},
		{"agent: {privileged: mine}", false, false, "", true},
		{"agent: {privileged: {mine: true}}", false, false, "", true},
	} {
		t.Run(test.text, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "acrux.yaml")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := LoadConfig(t.TempDir(), file, func(string) string { return "" })
			if err == nil {
				err = c.Agent.Privileged.check()
			}
			if (err != nil) != test.mistaken {
				t.Fatalf("error %v", err)
			}
			if test.mistaken {
				return
			}
			allows := c.Agent.Privileged.allows("s")
			if allows(strings.ToUpper(mine)) != test.mine {
				t.Errorf("allows mine: %v", !test.mine)
			}
			// One of the same name elsewhere is another one.
			for _, other := range []string{strings.Replace(mine, "/g/", "/h/", 1), strings.Replace(mine, "/s/", "/t/", 1), mine + "2", "mine1", ""} {
				if allows(other) != test.other {
					t.Errorf("allows %q: %v", other, !test.other)
				}
			}
			shown, err := yaml.Marshal(c.Agent)
			if err != nil || !strings.Contains(string(shown), test.shown) {
				t.Errorf("shown as %s, %v", shown, err)
			}
		})
	}
}

package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestPrivilegedConfig(t *testing.T) {
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
		{"agent: {privileged: [Mine]}", true, false, "- Mine", false},
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
			if (err != nil) != test.mistaken {
				t.Fatalf("error %v", err)
			}
			if test.mistaken {
				return
			}
			if mine, other := c.Agent.Privileged.Allows("mine"), c.Agent.Privileged.Allows("other"); mine != test.mine || other != test.other {
				t.Errorf("allows mine %v, other %v", mine, other)
			}
			shown, err := yaml.Marshal(c.Agent)
			if err != nil || !strings.Contains(string(shown), test.shown) {
				t.Errorf("shown as %s, %v", shown, err)
			}
		})
	}
}

package daemon

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// PrivilegedConfig says in which registries' runs steps may be privileged: true is all,
// false none, and a list names them.
type PrivilegedConfig struct {
	All        bool
	Registries []string // names
}

// Allows reports whether steps of a registry's runs may be privileged.
func (p PrivilegedConfig) Allows(registry string) bool {
	same := func(name string) bool { return strings.EqualFold(name, registry) }
	return p.All || slices.ContainsFunc(p.Registries, same)
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *PrivilegedConfig) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		return node.Decode(&p.Registries)
	}
	if node.Decode(&p.All) != nil {
		return errors.New("agent.privileged is true, false or a list of registries")
	}
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (p PrivilegedConfig) MarshalYAML() (any, error) {
	if len(p.Registries) > 0 && !p.All {
		return p.Registries, nil
	}
	return p.All, nil
}

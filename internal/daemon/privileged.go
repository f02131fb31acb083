package daemon

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// PrivilegedConfig says in which registries' runs steps may be privileged: true is all,
// false none, and a list has their resource IDs.
type PrivilegedConfig struct {
	All        bool
	Registries []string
}

// check refuses what is no resource ID.
func (p PrivilegedConfig) check() error {
	for _, text := range p.Registries {
		if _, err := registryID(text, anySubscription); err != nil {
			return fmt.Errorf("agent.privileged: %w", err)
		}
	}
	return nil
}

// allows tells for resource IDs of registries whether steps of their runs may be
// privileged.
func (p PrivilegedConfig) allows(subscription string) func(registryID string) bool {
	granted := map[string]bool{}
	for _, text := range p.Registries {
		if id, err := registryID(text, subscription); err == nil {
			granted[id.Key()] = true
		}
	}
	return func(text string) bool {
		id, err := registryID(text, subscription)
		return p.All || err == nil && granted[id.Key()]
	}
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *PrivilegedConfig) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		return node.Decode(&p.Registries)
	}
	if node.Decode(&p.All) != nil {
		return errors.New("agent.privileged is true, false or a list of resource IDs of registries")
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

package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

// What the configuration gives to registries (privileged steps, public names) it gives to
// resource IDs. A name would not do: whoever may make registries somewhere could make one
// that has it. To make one of a given ID takes rights on the group that stands in it, which
// only somebody with rights on the subscription makes.

// registryID reads the resource ID of a registry. One that begins with /resourceGroups is
// in the installation's subscription, which has no ID before the first start.
func registryID(text, subscription string) (arm.ID, error) {
	full := text
	if strings.HasPrefix(strings.ToLower(text), "/resourcegroups/") {
		full = arm.SubscriptionID(subscription).String() + text
	}
	id, err := arm.ParseID(full)
	if err != nil || !strings.HasPrefix(full, "/") || id.Group == "" || id.Kind().Key() != registry.Kind.Key() {
		return id, fmt.Errorf("%q is not the resource ID of a registry; a name alone could be made by others: "+
			"az acr show --name NAME --query id prints the ID", text)
	}
	return id, nil
}

// anySubscription stands for the one that is not known when a configuration is checked.
const anySubscription = "00000000-0000-0000-0000-000000000000"

// AliasConfig are public names of registries, and the resource IDs of those that they mean.
type AliasConfig map[string]string

// UnmarshalYAML implements yaml.Unmarshaler.
func (a *AliasConfig) UnmarshalYAML(node *yaml.Node) error {
	var all map[string]string
	if err := node.Decode(&all); err != nil {
		return errors.New("loginServerAliases takes a registry for each name, " +
			"{contoso.azurecr.io: /subscriptions/…/registries/contoso}: az acr show --name contoso --query id prints the ID")
	}
	*a = all
	return nil
}

// parseAliases reads NAME=ID,NAME=ID.
func parseAliases(text string) AliasConfig {
	all := AliasConfig{}
	for entry := range strings.SplitSeq(text, ",") {
		name, id, _ := strings.Cut(strings.TrimSpace(entry), "=")
		all[name] = id
	}
	return all
}

// complete brings the names into one form and refuses what cannot be.
func (a AliasConfig) complete(domain string) (AliasConfig, error) {
	all := AliasConfig{}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		id, host := a[name], strings.ToLower(strings.Trim(name, " ."))
		switch {
		case !domainPattern.MatchString(host) || !strings.Contains(host, "."):
			return nil, fmt.Errorf("loginServerAliases: %q is not a host name such as contoso.azurecr.io", name)
		case within(host, domain) || within(domain, host):
			return nil, fmt.Errorf("loginServerAliases: %q and the domain %q are one below the other", name, domain)
		}
		if _, err := registryID(id, anySubscription); err != nil {
			return nil, fmt.Errorf("loginServerAliases: %s: %w", name, err)
		}
		if _, twice := all[host]; twice {
			return nil, fmt.Errorf("loginServerAliases has %q twice", host)
		}
		all[host] = id
	}
	return all, nil
}

// names are the public names, in order.
func (a AliasConfig) names() []string { return slices.Sorted(maps.Keys(a)) }

// registries are those that are meant, by public name. The configuration was checked.
func (a AliasConfig) registries(subscription string) map[string]arm.ID {
	all := map[string]arm.ID{}
	for name, text := range a {
		all[name], _ = registryID(text, subscription)
	}
	return all
}

// grants tells of entries that match nothing: they may be misspelt, or wait for a registry
// that is yet to be made.
func (s *Server) grants(ctx context.Context, registries *registry.Registries) error {
	missing := func(key, entry string, id arm.ID) error {
		_, err := registries.Get(ctx, id)
		if problem.Is(err, problem.NotFound) { // the registry, or its group
			s.log.Warn("the configuration names a registry that does not exist", "key", key, "entry", entry, "registry", id)
			return nil
		}
		return err
	}
	for _, name := range s.config.LoginServerAliases.names() {
		if err := missing("loginServerAliases", name, registries.Aliases[name]); err != nil {
			return err
		}
	}
	for _, text := range s.config.Agent.Privileged.Registries {
		id, err := registryID(text, s.Published.SubscriptionID)
		if err == nil {
			err = missing("agent.privileged", text, id)
		}
		if err != nil {
			return err
		}
	}
	if s.config.Agent.Privileged.All {
		s.log.Warn("steps of all registries may control this machine", "key", "agent.privileged")
	}
	return nil
}

// publicName says which registry here a public name means, by its login server.
func publicName(registries *registry.Registries) func(host string) (string, bool) {
	return func(host string) (string, bool) {
		if _, alias := registries.Aliases[strings.ToLower(host)]; !alias {
			return "", false
		}
		reg, err := registries.ByHost(context.Background(), host)
		return reg.Properties.LoginServer, err == nil
	}
}

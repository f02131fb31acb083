package cli

import (
	"context"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// tags reads --tags key=value ...; nil if they were not given.
func (c *call) tags() document {
	if !c.given("tags") {
		return nil
	}
	all := document{}
	for _, pair := range c.list("tags") {
		key, value, _ := strings.Cut(pair, "=")
		all[key] = value
	}
	return all
}

// switchOf turns a yes or no into one of two words.
func switchOf(yes bool, on, off string) string {
	if yes {
		return on
	}
	return off
}

// registryProperties are those that the flags of create and update mean.
func (c *call) registryProperties() document {
	p := document{}
	for name, member := range map[string]string{"admin-enabled": "adminUserEnabled", "anonymous-pull-enabled": "anonymousPullEnabled", "data-endpoint-enabled": "dataEndpointEnabled"} {
		if c.given(name) {
			p[member] = c.yes(name)
		}
	}
	if c.given("public-network-enabled") {
		p["publicNetworkAccess"] = switchOf(c.yes("public-network-enabled"), "Enabled", "Disabled")
	}
	if c.given("allow-trusted-services") {
		p["networkRuleBypassOptions"] = switchOf(c.yes("allow-trusted-services"), "AzureServices", "None")
	}
	if c.given("allow-exports") {
		p["policies"] = document{"exportPolicy": document{"status": switchOf(c.yes("allow-exports"), "enabled", "disabled")}}
	}
	if action := c.text("default-action"); action != "" {
		p["networkRuleSet"] = document{"defaultAction": action}
	}
	if zones := c.text("zone-redundancy"); zones != "" {
		p["zoneRedundancy"] = zones
	}
	return p
}

func createRegistry(ctx context.Context, c *call) (any, error) {
	body := document{"sku": document{"name": c.text("sku")}, "properties": c.registryProperties()}
	if location := c.text("location"); location != "" {
		body["location"] = location
	}
	if tags := c.tags(); tags != nil {
		body["tags"] = tags
	}
	var out document
	_, err := c.client.Do(ctx, "PUT", c.groupID(c.text("resource-group")).In(registryKind, c.text("name")).String(), registriesVersion, body, &out)
	return flatten(out), err
}

func updateRegistry(ctx context.Context, c *call) (any, error) {
	body := document{"properties": c.registryProperties()}
	if sku := c.text("sku"); sku != "" {
		body["sku"] = document{"name": sku}
	}
	if tags := c.tags(); tags != nil {
		body["tags"] = tags
	}
	return c.patchRegistry(ctx, body)
}

func (c *call) patchRegistry(ctx context.Context, body document) (document, error) {
	id, err := c.findRegistry(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	var out document
	_, err = c.client.Do(ctx, "PATCH", id.String(), registriesVersion, body, &out)
	return flatten(out), err
}

func showUsage(ctx context.Context, c *call) (any, error) {
	id, err := c.findRegistry(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	var out document
	_, err = c.client.Do(ctx, "GET", id.String()+"/listUsages", registriesVersion, nil, &out)
	return out, err
}

// adminCredential asks for the admin user's passwords, or for one of them anew.
func (c *call) adminCredential(ctx context.Context, action string, body any) (any, error) {
	id, err := c.findRegistry(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	var out document
	_, err = c.client.Do(ctx, "POST", id.String()+"/"+action, registriesVersion, body, &out)
	return out, err
}

func showCredential(ctx context.Context, c *call) (any, error) {
	return c.adminCredential(ctx, "listCredentials", nil)
}

func renewCredential(ctx context.Context, c *call) (any, error) {
	return c.adminCredential(ctx, "regenerateCredential", document{"name": c.text("password-name")})
}

// identityBlock is the identity of a resource as the API shows it.
type identityBlock struct {
	Type  string         `json:"type"`
	Users map[string]any `json:"userAssignedIdentities"`
}

// system reports whether the block has a system-assigned identity.
func (b *identityBlock) system() bool {
	return b != nil && strings.Contains(strings.ToLower(b.Type), "systemassigned")
}

// assigned is the change that gives a resource identities: [system], and IDs or names of
// user-assigned ones in the resource's group.
func (c *call) assigned(old *identityBlock, group string) document {
	system, users := old.system(), document{}
	names := c.list("identities")
	for _, name := range names {
		if strings.EqualFold(name, "[system]") {
			system = true
		} else {
			users[c.identityOf(name, group)] = document{}
		}
	}
	system = system || len(names) == 0
	return identityChange(system, users, old != nil && len(old.Users) > 0)
}

// removed is the change that takes identities from a resource. [all] and, for the
// system's, nothing are as the Azure CLI has them.
func (c *call) removed(old *identityBlock, group string) (document, error) {
	names := c.list("identities")
	if old == nil {
		return nil, problem.New(problem.NotFound, "IdentityNotFound", "nothing is assigned")
	}
	system, users, left := old.system(), document{}, len(old.Users)
	for _, name := range names {
		switch {
		case strings.EqualFold(name, "[all]"):
			if len(names) > 1 {
				return nil, invalidArgument("[all] goes with no other identity")
			}
			return document{"type": "None"}, nil
		case strings.EqualFold(name, "[system]"):
			system = false
		default:
			users[c.identityOf(name, group)] = nil
			left--
		}
	}
	if len(names) == 0 {
		system = false
	}
	return identityChange(system, users, left > 0), nil
}

// identityOf is the ID of a user-assigned identity that is given by its ID or its name.
func (c *call) identityOf(name, group string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return c.groupID(group).In(identityKind, name).String()
}

func identityChange(system bool, users document, others bool) document {
	var types []string
	if system {
		types = append(types, "SystemAssigned")
	}
	gives := false
	for _, value := range users {
		gives = gives || value != nil
	}
	if gives || others {
		types = append(types, "UserAssigned")
	}
	if len(types) == 0 {
		return document{"type": "None"}
	}
	change := document{"type": strings.Join(types, ", ")}
	if len(users) > 0 && (gives || others) {
		change["userAssignedIdentities"] = users
	}
	return change
}

// registryIdentity changes the identities of a registry and shows the registry.
func (c *call) registryIdentity(ctx context.Context, change func(old *identityBlock, group string) (document, error)) (any, error) {
	id, err := c.findRegistry(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	var doc struct{ Identity *identityBlock }
	if _, err := c.client.Do(ctx, "GET", id.String(), registriesVersion, nil, &doc); err != nil {
		return nil, err
	}
	block, err := change(doc.Identity, id.Group)
	if err != nil {
		return nil, err
	}
	return c.patchRegistry(ctx, document{"identity": block})
}

func assignRegistryIdentity(ctx context.Context, c *call) (any, error) {
	return c.registryIdentity(ctx, func(old *identityBlock, group string) (document, error) { return c.assigned(old, group), nil })
}

func removeRegistryIdentity(ctx context.Context, c *call) (any, error) {
	return c.registryIdentity(ctx, c.removed)
}

func showRegistryIdentity(ctx context.Context, c *call) (any, error) {
	doc, err := c.getRegistry(ctx, c.text("name"))
	return doc["identity"], err
}

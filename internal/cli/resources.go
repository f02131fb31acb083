package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// api-versions the client speaks.
const (
	groupsVersion     = "2022-09-01"
	identitiesVersion = "2023-01-31"
	rolesVersion      = "2022-04-01"
	registriesVersion = "2023-07-01"
	tasksVersion      = "2019-06-01-preview"
)

// document is a resource as the server sends it.
type document = map[string]any

func (c *call) subscription() arm.ID { return arm.SubscriptionID(c.client.Subscription) }

func (c *call) groupID(name string) arm.ID { return arm.GroupID(c.client.Subscription, name) }

// flatten lifts the properties of a resource beside its name, as the Azure CLI shows
// them, and adds the group.
func flatten(doc document) document {
	out := document{}
	for name, value := range doc {
		out[name] = value
	}
	if properties, ok := doc["properties"].(map[string]any); ok {
		delete(out, "properties")
		for name, value := range properties {
			out[name] = value
		}
	}
	return withGroup(out)
}

func withGroup(doc document) document {
	if text, ok := doc["id"].(string); ok {
		if id, err := arm.ParseID(text); err == nil && id.Group != "" {
			doc["resourceGroup"] = id.Group
		}
	}
	return doc
}

func flattenAll(docs []document) []document {
	all := make([]document, len(docs))
	for i, doc := range docs {
		all[i] = flatten(doc)
	}
	return all
}

// list reads all pages of a list.
func (c *call) listAll(ctx context.Context, path, version string) ([]document, error) {
	all := []document{}
	for path != "" {
		var page arm.Page[document]
		if _, err := c.client.Do(ctx, "GET", path, version, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Value...)
		path = page.NextLink
	}
	return all, nil
}

// confirm asks before something is destroyed, unless --yes was given.
func (c *call) confirm(what string) error {
	return c.environment.confirm(c.toggle("yes"), what)
}

func createGroup(ctx context.Context, c *call) (any, error) {
	var out document
	body := document{"location": c.text("location")}
	if tags := c.tags(); tags != nil {
		body["tags"] = tags
	}
	_, err := c.client.Do(ctx, "PUT", c.groupID(c.text("name")).String(), groupsVersion, body, &out)
	return out, err
}

func updateGroup(ctx context.Context, c *call) (any, error) {
	body := document{}
	if tags := c.tags(); tags != nil {
		body["tags"] = tags
	}
	var out document
	_, err := c.client.Do(ctx, "PATCH", c.groupID(c.text("name")).String(), groupsVersion, body, &out)
	return out, err
}

func showGroup(ctx context.Context, c *call) (any, error) {
	var out document
	_, err := c.client.Do(ctx, "GET", c.groupID(c.text("name")).String(), groupsVersion, nil, &out)
	return out, err
}

func listGroups(ctx context.Context, c *call) (any, error) {
	return c.listAll(ctx, c.subscription().String()+"/resourcegroups", groupsVersion)
}

func groupExists(ctx context.Context, c *call) (any, error) {
	_, err := c.client.Do(ctx, "GET", c.groupID(c.text("name")).String(), groupsVersion, nil, nil)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	return true, err
}

func deleteGroup(ctx context.Context, c *call) (any, error) {
	if err := c.confirm("This deletes the resource group '" + c.text("name") + "' and everything in it."); err != nil {
		return nil, err
	}
	_, err := c.client.Do(ctx, "DELETE", c.groupID(c.text("name")).String(), groupsVersion, nil, nil)
	return nil, err
}

var identityKind = arm.NewKind("Microsoft.ManagedIdentity/userAssignedIdentities")

func (c *call) identityID() arm.ID {
	return c.groupID(c.text("resource-group")).In(identityKind, c.text("name"))
}

func createIdentity(ctx context.Context, c *call) (any, error) {
	body := document{}
	if location := c.text("location"); location != "" {
		body["location"] = location
	}
	if tags := c.tags(); tags != nil {
		body["tags"] = tags
	}
	var out document
	_, err := c.client.Do(ctx, "PUT", c.identityID().String(), identitiesVersion, body, &out)
	return flatten(out), err
}

func showIdentity(ctx context.Context, c *call) (any, error) {
	var out document
	_, err := c.client.Do(ctx, "GET", c.identityID().String(), identitiesVersion, nil, &out)
	return flatten(out), err
}

func listIdentities(ctx context.Context, c *call) (any, error) {
	all, err := c.listAll(ctx, c.scope()+"/providers/"+identityKind.String(), identitiesVersion)
	return flattenAll(all), err
}

// scope is the subscription, or the group that was given.
func (c *call) scope() string {
	if group := c.text("resource-group"); group != "" {
		return c.groupID(group).String()
	}
	return c.subscription().String()
}

func deleteIdentity(ctx context.Context, c *call) (any, error) {
	_, err := c.client.Do(ctx, "DELETE", c.identityID().String(), identitiesVersion, nil, nil)
	return nil, err
}

var registryKind = arm.NewKind("Microsoft.ContainerRegistry/registries")

// findRegistry returns the ID of a registry by name: in the group that was given, or
// wherever in the subscription it is.
func (c *call) findRegistry(ctx context.Context, name string) (arm.ID, error) {
	if group := c.text("resource-group"); group != "" {
		return c.groupID(group).In(registryKind, name), nil
	}
	path := c.subscription().String() + "/resources?$filter=" + url.QueryEscape("resourceType eq '"+registryKind.String()+"'")
	all, err := c.listAll(ctx, path, groupsVersion)
	if err != nil {
		return arm.ID{}, err
	}
	for _, doc := range all {
		if text, ok := doc["name"].(string); ok && strings.EqualFold(text, name) {
			id, _ := doc["id"].(string) // every resource has one
			return arm.ParseID(id)
		}
	}
	return arm.ID{}, problem.New(problem.NotFound, "ResourceNotFound", "the registry '%s' could not be found in subscription '%s'", name, c.client.Subscription).
		Hint("az acr list --output table")
}

func (c *call) getRegistry(ctx context.Context, name string) (document, error) {
	id, err := c.findRegistry(ctx, name)
	if err != nil {
		return nil, err
	}
	var out document
	_, err = c.client.Do(ctx, "GET", id.String(), registriesVersion, nil, &out)
	return flatten(out), err
}

func showRegistry(ctx context.Context, c *call) (any, error) {
	doc, err := c.getRegistry(ctx, c.text("name"))
	return doc, err
}

func listRegistries(ctx context.Context, c *call) (any, error) {
	all, err := c.listAll(ctx, c.scope()+"/providers/"+registryKind.String(), registriesVersion)
	return flattenAll(all), err
}

func deleteRegistry(ctx context.Context, c *call) (any, error) {
	id, err := c.findRegistry(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	if err := c.confirm("This deletes the registry '" + id.Name() + "' and everything in it."); err != nil {
		return nil, err
	}
	_, err = c.client.Do(ctx, "DELETE", id.String(), registriesVersion, nil, nil)
	return nil, err
}

func checkName(ctx context.Context, c *call) (any, error) {
	var out document
	_, err := c.client.Do(ctx, "POST", c.subscription().String()+"/providers/Microsoft.ContainerRegistry/checkNameAvailability", registriesVersion,
		document{"name": c.text("name"), "type": registryKind.String()}, &out)
	return out, err
}

// importImage imports and waits, telling how far it is.
func importImage(ctx context.Context, c *call) (any, error) {
	id, err := c.findRegistry(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	source, err := c.importSource(ctx)
	if err != nil {
		return nil, err
	}
	mode := "NoForce"
	if c.toggle("force") {
		mode = "Force"
	}
	body := document{"source": source, "targetTags": c.list("image"), "untaggedTargetRepositories": c.list("repository"), "mode": mode}
	res, err := c.client.Do(ctx, "POST", id.String()+"/importImage", registriesVersion, body, nil)
	if err != nil {
		return nil, err
	}
	if c.toggle("no-wait") {
		c.warn("The import has begun; whether it succeeds is not waited for.")
		return nil, nil
	}
	c.signals.goesOn("Canceled: the import goes on")
	bar := c.newProgress()
	defer bar.clear()
	return nil, c.client.Wait(ctx, res, func(text string) { bar.show("Importing", text) })
}

func (c *call) importSource(ctx context.Context) (document, error) {
	source := document{}
	image := c.text("source")
	switch registry := c.text("registry"); {
	case strings.HasPrefix(registry, "/"):
		source["resourceId"] = registry
	case registry != "":
		id, err := c.findAnywhere(ctx, registry)
		if err != nil {
			return nil, err
		}
		source["resourceId"] = id.String()
	default:
		host, rest, ok := strings.Cut(image, "/")
		if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
			return nil, usageError{fmt.Errorf("--source %s: begin it with the login server of a registry, or give --registry", image)}
		}
		source["registryUri"], image = host, rest
	}
	source["sourceImage"] = image
	if platform := c.text("platform"); platform != "" {
		source["platform"] = platform
	}
	if c.text("username") != "" && c.text("password") == "" {
		return nil, invalidArgument("--username goes with --password")
	}
	if c.text("password") != "" {
		source["credentials"] = document{"username": c.text("username"), "password": c.text("password")}
	}
	return source, nil
}

// findAnywhere finds a registry whatever group was given for another one.
func (c *call) findAnywhere(ctx context.Context, name string) (arm.ID, error) {
	all, err := c.listAll(ctx, c.subscription().String()+"/providers/"+registryKind.String(), registriesVersion)
	if err != nil {
		return arm.ID{}, err
	}
	for _, doc := range all {
		if text, ok := doc["name"].(string); ok && strings.EqualFold(text, name) {
			id, _ := doc["id"].(string) // every resource has one
			return arm.ParseID(id)
		}
	}
	return arm.ID{}, problem.New(problem.NotFound, "ResourceNotFound", "the source registry '%s' could not be found", name)
}

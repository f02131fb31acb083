package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// shownMap is a scope map as the Azure CLI shows it: it has two members that are called
// type.
func shownMap(doc document) document {
	out := shownChild(doc)
	out["typePropertiesType"], out["type"] = out["type"], doc["type"]
	return out
}

// shownChild is a resource below a registry that has no identity of its own.
func shownChild(doc document) document {
	out := flatten(doc)
	delete(out, "identity")
	return out
}

func (c *call) getScopeMap(ctx context.Context, id arm.ID) (document, error) {
	var doc document
	_, err := c.client.Do(ctx, "GET", id.String(), registriesVersion, nil, &doc)
	return doc, err
}

// actionsOf reads the actions of a scope map.
func actionsOf(doc document) []string {
	properties, _ := doc["properties"].(map[string]any)
	all, _ := properties["actions"].([]any) // null is none
	var actions []string
	for _, action := range all {
		if text, ok := action.(string); ok {
			actions = append(actions, text)
		}
	}
	return actions
}

// actions reads flags that name repositories, and those that name gateways, with what may
// be done with them.
func (c *call) actions(repositories, gateways string) ([]string, error) {
	actions := []string{}
	for _, of := range []struct{ flag, prefix string }{{repositories, "repositories"}, {gateways, "gateway"}} {
		for _, group := range c.list(of.flag) {
			words := strings.Fields(strings.ToLower(group))
			if len(words) < 2 {
				return nil, invalidArgument("--%s %s names no action: REPOSITORY ACTION ...", of.flag, group)
			}
			for _, verb := range words[1:] {
				actions = append(actions, of.prefix+"/"+words[0]+"/"+verb)
			}
		}
	}
	return actions, nil
}

func (c *call) putScopeMap(ctx context.Context, id arm.ID, description string, actions []string) (document, error) {
	properties := document{"actions": actions}
	if description != "" {
		properties["description"] = description
	}
	var doc document
	_, err := c.client.Do(ctx, "PUT", id.String(), registriesVersion, document{"properties": properties}, &doc)
	return doc, err
}

func createScopeMap(ctx context.Context, c *call) (any, error) {
	actions, err := c.actions("repository", "gateway")
	if err != nil {
		return nil, err
	}
	id, err := c.child(ctx, "scopeMaps")
	if err != nil {
		return nil, err
	}
	doc, err := c.putScopeMap(ctx, id, c.text("description"), actions)
	return shownMap(doc), err
}

func showScopeMap(ctx context.Context, c *call) (any, error) {
	id, err := c.child(ctx, "scopeMaps")
	if err != nil {
		return nil, err
	}
	doc, err := c.getScopeMap(ctx, id)
	return shownMap(doc), err
}

func listScopeMaps(ctx context.Context, c *call) (any, error) {
	registry, err := c.findRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	all, err := c.listAll(ctx, registry.String()+"/scopeMaps", registriesVersion)
	for i, doc := range all {
		all[i] = shownMap(doc)
	}
	return all, err
}

// updateScopeMap adds actions and takes others away.
func updateScopeMap(ctx context.Context, c *call) (any, error) {
	add, err := c.actions("add-repository", "add-gateway")
	if err != nil {
		return nil, err
	}
	remove, err := c.actions("remove-repository", "remove-gateway")
	if err != nil {
		return nil, err
	}
	for _, action := range add {
		if slices.Contains(remove, action) {
			return nil, invalidArgument("%s is both added and removed", action)
		}
	}
	if len(add)+len(remove) == 0 && !c.given("description") {
		return nil, invalidArgument("nothing to change: give --add-repository, --remove-repository or --description")
	}
	id, err := c.child(ctx, "scopeMaps")
	if err != nil {
		return nil, err
	}
	doc, err := c.getScopeMap(ctx, id)
	if err != nil {
		return nil, err
	}
	properties := document{"actions": changed(actionsOf(doc), add, remove)}
	if c.given("description") {
		properties["description"] = c.text("description")
	}
	var out document
	_, err = c.client.Do(ctx, "PATCH", id.String(), registriesVersion, document{"properties": properties}, &out)
	return shownMap(out), err
}

// changed is a list with some added, each once, and some taken away.
func changed(all, add, remove []string) []string {
	out := []string{}
	for _, action := range slices.Concat(all, add) {
		if !slices.Contains(out, action) && !slices.Contains(remove, action) {
			out = append(out, action)
		}
	}
	return out
}

func deleteScopeMap(ctx context.Context, c *call) (any, error) {
	_, err := c.deleteChild(ctx, "scopeMaps", "scope map")
	return nil, err
}

// ownScopeMap makes the scope map of a token that names its repositories itself. One that
// is there must permit the same.
func (c *call) ownScopeMap(ctx context.Context, token arm.ID) (arm.ID, error) {
	id := token.Parent().Child("scopeMaps", token.Name()+"-scope-map")
	actions, err := c.actions("repository", "gateway")
	if err != nil {
		return id, err
	}
	doc, err := c.getScopeMap(ctx, id)
	if problem.Is(err, problem.NotFound) {
		_, err = c.putScopeMap(ctx, id, "Of the token "+token.Name(), actions)
		return id, err
	}
	if err != nil {
		return id, err
	}
	if have := actionsOf(doc); !slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(changed(nil, actions, nil)))) {
		return id, problem.New(problem.Conflict, "ScopeMapExists", "the scope map '%s' is there and permits something else", id.Name()).
			Hint("az acr scope-map update --registry %s --name %s --add-repository REPOSITORY ACTION ...", token.Parent().Name(), id.Name())
	}
	return id, nil
}

package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// genericIDs are the resources that --ids names, or the group, the type and the name.
func (c *call) genericIDs() ([]string, error) {
	if ids := c.list("ids"); len(ids) > 0 {
		return ids, nil
	}
	group, kind, name := c.text("resource-group"), c.text("resource-type"), c.text("name")
	if namespace := c.text("namespace"); namespace != "" && !strings.Contains(kind, "/") {
		kind = namespace + "/" + kind
	}
	namespace, rest, ok := strings.Cut(kind, "/")
	if group == "" || !ok || name == "" {
		return nil, invalidArgument("give --ids, or --resource-group, --resource-type NAMESPACE/TYPE and --name")
	}
	path := c.groupID(group).String() + "/providers/" + namespace
	if parent := strings.Trim(c.text("parent"), "/"); parent != "" {
		path += "/" + parent
	}
	types := strings.Split(rest, "/")
	return []string{path + "/" + types[len(types)-1] + "/" + name}, nil
}

func (c *call) genericVersion() string {
	if v := c.text("api-version"); v != "" {
		return v
	}
	return registriesVersion
}

// eachResource does one thing with each resource that is named, and shows the results:
// one as it is, several as a list.
func (c *call) eachResource(ctx context.Context, do func(id string) (any, error)) (any, error) {
	ids, err := c.genericIDs()
	if err != nil {
		return nil, err
	}
	all := []any{}
	for _, id := range ids {
		value, err := do(id)
		if err != nil {
			return nil, err
		}
		if value != nil {
			all = append(all, value)
		}
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	}
	return all, nil
}

func showResource(ctx context.Context, c *call) (any, error) {
	return c.eachResource(ctx, func(id string) (any, error) {
		var out document
		_, err := c.client.Do(ctx, "GET", id, c.genericVersion(), nil, &out)
		return withGroup(out), err
	})
}

func deleteResource(ctx context.Context, c *call) (any, error) {
	return c.eachResource(ctx, func(id string) (any, error) {
		_, err := c.client.Do(ctx, "DELETE", id, c.genericVersion(), nil, nil)
		return nil, err
	})
}

func listResources(ctx context.Context, c *call) (any, error) {
	query := ""
	if kind := c.text("resource-type"); kind != "" {
		if namespace := c.text("namespace"); namespace != "" && !strings.Contains(kind, "/") {
			kind = namespace + "/" + kind
		}
		query = "?$filter=" + url.QueryEscape("resourceType eq '"+kind+"'")
	}
	all, err := c.listAll(ctx, c.scope()+"/resources"+query, groupsVersion)
	key, value, hasValue := strings.Cut(c.text("tag"), "=")
	shown := []document{}
	for _, doc := range all {
		tags, _ := doc["tags"].(map[string]any)
		have, tagged := tags[key]
		switch {
		case c.text("name") != "" && doc["name"] != c.text("name"):
		case c.text("location") != "" && doc["location"] != c.text("location"):
		case key != "" && (!tagged || hasValue && have != value):
		default:
			shown = append(shown, withGroup(doc))
		}
	}
	return shown, err
}

// tagsPath is where the tags of a resource are read and written.
func tagsPath(id string) string {
	return strings.TrimSuffix(id, "/") + "/providers/Microsoft.Resources/tags/default"
}

// tagsVersion is the api-version of tags.
const tagsVersion = "2021-04-01"

// writeTags changes the tags of a resource, group or subscription.
func (c *call) writeTags(ctx context.Context, method, id string, body document) (any, error) {
	var out document
	_, err := c.client.Do(ctx, method, tagsPath(id), tagsVersion, body, &out)
	return out, err
}

func tagResource(ctx context.Context, c *call) (any, error) {
	operation := "Replace"
	if c.toggle("is-incremental") {
		operation = "Merge"
	}
	return c.eachResource(ctx, func(id string) (any, error) {
		if _, err := c.writeTags(ctx, "PATCH", id, document{"operation": operation, "properties": document{"tags": c.tags()}}); err != nil {
			return nil, err
		}
		var out document
		_, err := c.client.Do(ctx, "GET", id, c.genericVersion(), nil, &out)
		return withGroup(out), err
	})
}

func createTags(ctx context.Context, c *call) (any, error) {
	return c.writeTags(ctx, "PUT", c.text("resource-id"), document{"properties": document{"tags": c.tags()}})
}

func updateTags(ctx context.Context, c *call) (any, error) {
	return c.writeTags(ctx, "PATCH", c.text("resource-id"), document{"operation": c.text("operation"), "properties": document{"tags": c.tags()}})
}

// listTags shows the tags of one resource, or all names and values in the subscription.
func listTags(ctx context.Context, c *call) (any, error) {
	if id := c.text("resource-id"); id != "" {
		return c.writeTags(ctx, "GET", id, nil)
	}
	return c.listAll(ctx, c.subscription().String()+"/tagNames", tagsVersion)
}

func deleteTags(ctx context.Context, c *call) (any, error) {
	if err := c.confirm("This deletes all tags of '" + c.text("resource-id") + "'."); err != nil {
		return nil, err
	}
	_, err := c.client.Do(ctx, "DELETE", tagsPath(c.text("resource-id")), tagsVersion, nil, nil)
	return nil, err
}

// rest sends a request as it was written.
func rest(ctx context.Context, c *call) (any, error) {
	target := strings.ReplaceAll(c.text("url"), "{subscriptionId}", c.client.Subscription)
	query := url.Values{}
	for _, pair := range c.list("url-parameters") {
		key, value, _ := strings.Cut(pair, "=")
		query.Add(key, value)
	}
	if len(query) > 0 {
		separator := "?"
		if strings.Contains(target, "?") {
			separator = "&"
		}
		target += separator + query.Encode()
	}
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, pair := range c.list("headers") {
		key, value, _ := strings.Cut(pair, "=")
		header.Set(key, value)
	}
	res, err := c.client.Rest(ctx, strings.ToUpper(c.text("method")), target, header, body)
	if err != nil {
		return nil, err
	}
	if file := c.text("output-file"); file != "" {
		return nil, os.WriteFile(file, res.Body, 0o600)
	}
	if len(res.Body) == 0 {
		return nil, nil
	}
	if !json.Valid(res.Body) {
		_, err := c.stdout.Write(res.Body)
		return nil, err
	}
	return json.RawMessage(res.Body), nil
}

// body is --body, or with "@" the file that it names.
func (c *call) body() ([]byte, error) {
	text := c.text("body")
	if name, ok := strings.CutPrefix(text, "@"); ok {
		return c.readFile(name)
	}
	return []byte(text), nil
}

package registryapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registry"
)

func (c *call) listDeletedRepositories() error {
	return c.listNames(c.server.Trash.DeletedRepositories)
}

func (c *call) showDeletedManifests() error {
	p, err := c.page(defaultPage)
	if err != nil {
		return err
	}
	all, err := c.server.Trash.DeletedManifests(c.Context(), c.repository(), ask(p))
	if err != nil {
		return registry.Problem(err, c.repository())
	}
	manifests := []any{}
	for _, m := range cut(c, all, p, c.placeOfManifest) {
		body := manifestBody(m)
		body["deletedAt"] = arm.Time(m.Deleted)
		manifests = append(manifests, body)
	}
	body := c.about()
	body["manifests"] = manifests
	return c.json(http.StatusOK, body)
}

func (c *call) showDeletedTags() error {
	p, err := c.page(defaultPage)
	if err != nil {
		return err
	}
	all, err := c.server.Trash.DeletedTags(c.Context(), c.repository(), ask(p))
	if err != nil {
		return registry.Problem(err, c.repository())
	}
	tags := []any{}
	for _, t := range cut(c, all, p, func(t registry.DeletedTag) (string, time.Time) { return t.Name, t.Deleted }) {
		tags = append(tags, map[string]any{"tag": t.Name, "digest": t.Digest, "deletedAt": arm.Time(t.Deleted)})
	}
	body := c.about()
	body["tags"] = tags
	return c.json(http.StatusOK, body)
}

// restore puts a deleted manifest back, under a tag if the body names one.
func (c *call) restore() error {
	d, err := parseDigest(c.req.Reference)
	if err != nil {
		return err
	}
	text, err := c.readBody(maxAttributes)
	if err != nil {
		return err
	}
	var asked struct{ Tag string }
	if len(text) > 0 && json.Unmarshal(text, &asked) != nil || asked.Tag != "" && !oci.ValidTag(asked.Tag) {
		return problem.New(problem.Invalid, "INVALID_REQUEST", "the request body is not a JSON object with a tag")
	}
	force, err := strconv.ParseBool(c.URL.Query().Get("force"))
	if err != nil && c.URL.Query().Has("force") {
		return problem.New(problem.Invalid, "INVALID_PARAMETER", "force=%s is neither true nor false", c.URL.Query().Get("force")).On("force")
	}
	m, err := c.server.Content.Restore(c.Context(), c.server.Trash, registry.Restoring{Name: c.repository(), Digest: d, Tag: asked.Tag, Force: force, Actor: c.actor(), Now: c.now})
	if err != nil {
		return err
	}
	return c.describe(m)
}

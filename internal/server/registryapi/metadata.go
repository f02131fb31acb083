package registryapi

import (
	"net/http"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

// about is what every answer of the metadata API begins with.
func (c *call) about() map[string]any {
	return map[string]any{"registry": c.server.Registries.LoginServer(c.name), "imageName": c.req.Repository}
}

func (c *call) showRepository() error {
	repo, err := c.server.Content.Repository(c.Context(), c.repository())
	if err != nil {
		return err
	}
	body := c.about()
	body["createdTime"], body["lastUpdateTime"] = arm.Time(repo.Created), arm.Time(repo.Updated)
	body["manifestCount"], body["tagCount"] = repo.Manifests, repo.Tags
	if body["size"], err = c.server.Content.Store.RepositorySize(c.Context(), c.repository()); err != nil {
		return err
	}
	body["changeableAttributes"] = switches(repo.Attributes)
	return c.json(http.StatusOK, body)
}

func (c *call) deleteRepository() error {
	manifests, tags, err := c.server.Content.DeleteRepository(c.Context(), c.repository(), c.actor(), c.now)
	if err != nil {
		return err
	}
	return c.json(http.StatusAccepted, map[string]any{"manifestsDeleted": orEmpty(manifests), "tagsDeleted": orEmpty(tags)})
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func tagBody(t registry.Tag) map[string]any {
	body := map[string]any{"name": t.Name, "digest": t.Digest, "createdTime": arm.Time(t.Created), "lastUpdateTime": arm.Time(t.Updated),
		"signed": false, "changeableAttributes": switches(t.Attributes)}
	return withPulls(body, t.Pulls, t.Pulled)
}

// withPulls adds how often and when something was pulled, which Azure does not tell.
func withPulls(body map[string]any, pulls int64, last time.Time) map[string]any {
	if body["pullCount"] = pulls; pulls > 0 {
		body["lastPulledTime"] = arm.Time(last)
	}
	return body
}

// order reads orderby of a listing.
func (c *call) order() (registry.Order, error) {
	order := registry.Order(c.URL.Query().Get("orderby"))
	switch order {
	case registry.ByName, registry.TimeAsc, registry.TimeDesc:
		return order, nil
	}
	return order, problem.New(problem.Invalid, "INVALID_PARAMETER", "orderby=%s is neither timeasc nor timedesc", order).On("orderby")
}

func (c *call) showTags() error {
	p, err := c.page(defaultPage)
	if err != nil {
		return err
	}
	q := registry.TagQuery{Page: p}
	if q.Order, err = c.order(); err != nil {
		return err
	}
	if text := c.URL.Query().Get("digest"); text != "" {
		if q.Digest, err = parseDigest(text); err != nil {
			return err
		}
	}
	all, err := c.tags(q)
	if err != nil {
		return err
	}
	var tags []any // null if there are none: acr-cli takes the last of a list that is there
	for _, t := range cut(c, all, p, c.placeOfTag) {
		tags = append(tags, tagBody(t))
	}
	body := c.about()
	body["tags"] = tags
	return c.json(http.StatusOK, body)
}

func (c *call) showTag() error {
	t, err := c.server.Content.Tag(c.Context(), c.repository(), c.req.Reference)
	if err != nil {
		return err
	}
	body := c.about()
	body["tag"] = tagBody(t)
	return c.json(http.StatusOK, body)
}

func (c *call) deleteTag() error {
	if err := c.server.Content.DeleteTag(c.Context(), c.repository(), c.req.Reference, c.actor(), c.now); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

func manifestBody(m registry.Manifest) map[string]any {
	body := map[string]any{"digest": m.Digest, "imageSize": m.ImageSize, "createdTime": arm.Time(m.Created), "lastUpdateTime": arm.Time(m.Updated),
		"architecture": m.Architecture, "os": m.OS, "mediaType": m.MediaType, "configMediaType": m.ConfigType, "tags": orEmpty(m.Tags),
		"changeableAttributes": switches(m.Attributes)}
	if m.MoreTags {
		body["moreTags"] = true
	}
	return withPulls(body, m.Pulls, m.Pulled)
}

// Bounds of what an answer has of manifests: of their number, and of the tags of each. One
// that has tags shows some, so whoever looks for untagged manifests finds them.
const (
	maxManifests = 1000
	maxTagsShown = 100
)

func (c *call) showManifests() error {
	p, err := c.page(defaultPage)
	if err != nil {
		return err
	}
	p.N = min(p.N, maxManifests)
	q := registry.ManifestQuery{Page: ask(p), Tags: maxTagsShown}
	if q.Order, err = c.order(); err != nil {
		return err
	}
	all, err := c.server.Content.Manifests(c.Context(), c.repository(), q)
	if err != nil {
		return err
	}
	var manifests []any // null if there are none, as tags are
	for _, m := range cut(c, all, p, c.placeOfManifest) {
		manifests = append(manifests, manifestBody(m))
	}
	body := c.about()
	body["manifests"] = manifests
	return c.json(http.StatusOK, body)
}

func (c *call) placeOfManifest(m registry.Manifest) (string, time.Time) {
	return m.Digest.String(), c.ifByTime(m.Updated)
}

func (c *call) showManifest() error {
	d, err := parseDigest(c.req.Reference)
	if err != nil {
		return err
	}
	m, err := c.server.Content.Manifest(c.Context(), c.repository(), d.String())
	if err != nil {
		return err
	}
	return c.describe(m)
}

// describe answers with a manifest and its tags.
func (c *call) describe(m registry.Manifest) error {
	q := registry.TagQuery{Digest: m.Digest, Page: registry.Page{N: maxTagsShown + 1}}
	all, err := c.server.Content.Tags(c.Context(), c.repository(), q)
	if err != nil {
		return err
	}
	if m.MoreTags = len(all) > maxTagsShown; m.MoreTags {
		all = all[:maxTagsShown]
	}
	for _, t := range all {
		m.Tags = append(m.Tags, t.Name)
	}
	body := c.about()
	body["manifest"] = manifestBody(m)
	return c.json(http.StatusOK, body)
}

package registryapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

func (c *call) getManifest() error {
	m, err := c.server.Content.Pull(c.Context(), c.repository(), c.req.Reference)
	if err != nil {
		return err
	}
	head, etag := c.w.Header(), entityTag(m.Digest)
	head.Set("Docker-Content-Digest", m.Digest.String())
	head.Set("ETag", etag)
	if c.unchanged(etag) {
		return c.notModified()
	}
	head.Set("Content-Type", m.MediaType)
	head.Set("Content-Length", strconv.Itoa(len(m.Body)))
	c.w.WriteHeader(http.StatusOK)
	if c.Method != http.MethodHead {
		c.countPull(m)
		_, _ = c.w.Write(m.Body) // the client is gone if this fails
	}
	return nil
}

// countPull counts a pull under the tag or, where it was by digest, under none.
func (c *call) countPull(m registry.Manifest) {
	tag := c.req.Reference
	if tag == m.Digest.String() {
		tag = ""
	}
	c.server.Pulls.Count(c.repository(), m.Digest, tag, c.now)
}

// maxTags is how many tags a push by digest may name beside it.
const maxTags = 32

func (c *call) putManifest() error {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, registry.MaxManifest))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problem.New(problem.TooLarge, "SIZE_INVALID", "a manifest has at most %d bytes", registry.MaxManifest).Because(err)
	}
	if err != nil {
		return c.uploadError(err)
	}
	tags := c.URL.Query()["tag"]
	if len(tags) > maxTags {
		return problem.New(problem.Invalid, "TAG_INVALID", "a push has at most %d tags", maxTags)
	}
	m, err := c.server.Content.PutManifest(c.Context(), registry.Push{Name: c.repository(), Reference: c.req.Reference, Tags: tags,
		MediaType: c.Header.Get("Content-Type"), Body: body, Actor: c.actor(), Now: c.now})
	if err != nil {
		return err
	}
	c.location("/v2/" + c.req.Repository + "/manifests/" + m.Digest.String())
	c.w.Header().Set("Docker-Content-Digest", m.Digest.String())
	for _, tag := range tags {
		c.w.Header().Add("OCI-Tag", tag)
	}
	if m.Subject != "" {
		c.w.Header().Set("OCI-Subject", m.Subject.String())
	}
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

// deleteManifest removes a manifest by digest with its tags, or a tag alone.
func (c *call) deleteManifest() error {
	d := digest.Digest(c.req.Reference)
	if d.Validate() != nil {
		return c.deleteTag()
	}
	if err := c.server.Content.DeleteManifest(c.Context(), c.repository(), d, c.actor(), c.now); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// maxReferrers bounds a page of referrers in bytes of their descriptors, as the
// specification bounds a manifest.
const maxReferrers = registry.MaxManifest

// listReferrers answers with an index of the manifests that have this one as their
// subject; for anything unknown with an empty one, never 404. A long list is cut, with a
// link to the rest.
func (c *call) listReferrers() error {
	d, err := parseDigest(c.req.Reference)
	if err != nil {
		return err
	}
	p, err := c.page(defaultPage)
	if err != nil {
		return err
	}
	only := c.URL.Query().Get("artifactType")
	all, err := c.server.Content.Referrers(c.Context(), c.repository(), registry.ReferrerQuery{Page: ask(p), Subject: d, ArtifactType: only})
	if err != nil {
		return err
	}
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	page := cut(c, all, p, c.placeOfManifest)
	if n := fitting(page); n < len(page) {
		page = page[:n]
		c.next(p.N, page[n-1].Digest.String(), time.Time{})
	}
	for _, m := range page {
		index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size,
			ArtifactType: m.ArtifactType, Annotations: m.Annotations})
	}
	if only != "" {
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	c.w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
	return c.json(http.StatusOK, index)
}

// fitting is how many of the manifests, the first at least, have descriptors that fit
// into a page.
func fitting(all []registry.Manifest) int {
	size := 0
	for i, m := range all {
		for key, value := range m.Annotations {
			size += len(key) + len(value)
		}
		if size > maxReferrers && i > 0 {
			return i
		}
	}
	return len(all)
}

func (c *call) listTags() error {
	p, err := c.page(maxPage)
	if err != nil {
		return err
	}
	all, err := c.tags(registry.TagQuery{Page: p})
	if err != nil {
		return err
	}
	tags := []string{}
	for _, t := range cut(c, all, p, c.placeOfTag) {
		tags = append(tags, t.Name)
	}
	return c.json(http.StatusOK, map[string]any{"name": c.req.Repository, "tags": tags})
}

func (c *call) placeOfTag(t registry.Tag) (string, time.Time) { return t.Name, c.ifByTime(t.Updated) }

// ifByTime is the time of an entry in a listing by time, and none in others.
func (c *call) ifByTime(at time.Time) time.Time {
	if c.URL.Query().Has("orderby") {
		return at
	}
	return time.Time{}
}

func (c *call) tags(q registry.TagQuery) ([]registry.Tag, error) {
	q.Page = ask(q.Page)
	return c.server.Content.Tags(c.Context(), c.repository(), q)
}

func (c *call) listRepositories() error {
	if c.subject.Token != "" {
		return c.listNames(c.visible)
	}
	return c.listNames(c.server.Content.Repositories)
}

// listNames lists names of repositories.
func (c *call) listNames(list func(ctx context.Context, registry string, page registry.Page) ([]string, error)) error {
	p, err := c.page(defaultPage)
	if err != nil {
		return err
	}
	all, err := list(c.Context(), c.name, ask(p))
	if err != nil {
		return err
	}
	names := cut(c, all, p, func(name string) (string, time.Time) { return name, time.Time{} })
	return c.json(http.StatusOK, map[string][]string{"repositories": orEmpty(names)})
}

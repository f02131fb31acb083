package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/oci"
)

// Media types of Docker's, which OCI's descend from.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	foreignLayer   = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// MaxManifest is the largest manifest in bytes, as the specification suggests.
const MaxManifest = 4 << 20

// Push is a manifest to be kept, under a tag, or under a digest with any tags.
type Push struct {
	Name      Name
	Reference string   // tag or digest
	Tags      []string // further tags
	OnlyNew   bool     // refuse to move a tag that names something else
	MediaType string
	Body      []byte
	Actor     string
	Now       time.Time
}

// document is what the manifests and indexes of Docker and OCI have in common.
type document struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *v1.Descriptor    `json:"config"`
	Layers       []v1.Descriptor   `json:"layers"`
	Manifests    []v1.Descriptor   `json:"manifests"`
	Subject      *v1.Descriptor    `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

func invalidManifest(format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, "MANIFEST_INVALID", format, args...)
}

// PutManifest keeps a manifest. Everything it names must be in the repository.
func (c *Content) PutManifest(ctx context.Context, push Push) (Manifest, error) {
	if err := checkName(push.Name); err != nil {
		return Manifest{}, err
	}
	d, tags, err := push.digestAndTags()
	if err != nil {
		return Manifest{}, err
	}
	m, err := parseManifest(push.MediaType, push.Body)
	if err != nil {
		return Manifest{}, err
	}
	m.Digest, m.Created, m.Updated = d, push.Now, push.Now
	if err := c.describe(ctx, push.Name, &m); err != nil {
		return Manifest{}, err
	}
	if err := c.Reserve.Room(); err != nil {
		return Manifest{}, err
	}
	err = c.Store.InTx(ctx, func(ctx context.Context) error { return c.keep(ctx, push, &m, tags) })
	return m, err
}

// digestAndTags says what the reference of a push means: a digest must fit the body.
func (p Push) digestAndTags() (digest.Digest, []string, error) {
	want, tags := digest.Digest(p.Reference), p.Tags
	if want.Validate() != nil {
		want, tags = digest.FromBytes(p.Body), append([]string{p.Reference}, p.Tags...)
	}
	if want.Algorithm().FromBytes(p.Body) != want {
		return "", nil, problem.New(problem.Invalid, "DIGEST_INVALID", "the manifest does not have the digest %s", want).On(p.Reference)
	}
	for _, tag := range tags {
		if !oci.ValidTag(tag) {
			return "", nil, problem.New(problem.Invalid, "TAG_INVALID", "%q is neither a tag nor a digest", tag).On(tag)
		}
	}
	return want, tags, nil
}

// parseManifest reads what a manifest says of itself.
func parseManifest(mediaType string, body []byte) (Manifest, error) {
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		return Manifest{}, invalidManifest("the manifest is not valid JSON: %v", err)
	}
	if mediaType == "" {
		mediaType = doc.MediaType
	} else if plain, _, err := mime.ParseMediaType(mediaType); err == nil {
		mediaType = plain // without parameters such as a character set
	}
	if doc.MediaType != "" && doc.MediaType != mediaType {
		return Manifest{}, invalidManifest("the manifest says it is %q, the request %q", doc.MediaType, mediaType)
	}
	m := Manifest{MediaType: mediaType, Size: int64(len(body)), ImageSize: int64(len(body)), ArtifactType: doc.ArtifactType,
		Annotations: doc.Annotations, Attributes: DeleteEnabled | WriteEnabled | ReadEnabled | ListEnabled, Body: body}
	if doc.Subject != nil {
		if err := doc.Subject.Digest.Validate(); err != nil {
			return Manifest{}, invalidManifest("the manifest's subject has a bad digest: %v", err)
		}
		m.Subject = doc.Subject.Digest
	}
	switch mediaType {
	case v1.MediaTypeImageManifest, dockerManifest:
		return m, m.readImage(doc)
	case v1.MediaTypeImageIndex, dockerList:
		return m, m.readIndex(doc)
	}
	return Manifest{}, invalidManifest("the media type %q is not one of a manifest", mediaType)
}

func (m *Manifest) readImage(doc document) error {
	if doc.Config == nil || doc.Config.Digest == "" {
		return invalidManifest("the manifest names no config")
	}
	m.ConfigType, m.config = doc.Config.MediaType, doc.Config.Digest
	if m.ArtifactType == "" {
		m.ArtifactType = doc.Config.MediaType
	}
	parts := []v1.Descriptor{*doc.Config}
	for _, layer := range doc.Layers {
		if layer.MediaType != foreignLayer && len(layer.URLs) == 0 { // else it lives elsewhere by its own word
			parts = append(parts, layer)
		}
	}
	if len(doc.Config.URLs) > 0 {
		parts = parts[1:]
	}
	var err error
	m.Blobs, err = m.addParts("manifest", parts)
	return err
}

func (m *Manifest) readIndex(doc document) (err error) {
	m.Children, err = m.addParts("index", doc.Manifests)
	seen := map[digest.Digest]bool{}
	for _, entry := range doc.Manifests {
		if !ofManifest(entry.MediaType) && !seen[entry.Digest] {
			seen[entry.Digest] = true
			m.Loose = append(m.Loose, entry.Digest)
		}
	}
	return err
}

// ofManifest reports whether a media type is that of a manifest or index.
func ofManifest(mediaType string) bool {
	switch mediaType {
	case v1.MediaTypeImageManifest, dockerManifest, v1.MediaTypeImageIndex, dockerList:
		return true
	}
	return false
}

// maxParts bounds how many things a manifest names: they are looked up while other writers
// wait.
const maxParts = 10_000

// addParts adds up the sizes of what is named, and returns the digests, each once.
func (m *Manifest) addParts(what string, parts []v1.Descriptor) (all []digest.Digest, err error) {
	seen := map[digest.Digest]bool{}
	for _, part := range parts {
		if err := part.Digest.Validate(); err != nil {
			return nil, invalidManifest("the %s names a bad digest: %v", what, err)
		}
		if part.Size < 0 || part.Size > math.MaxInt64-m.ImageSize {
			return nil, invalidManifest("the %s says that %s has %d bytes, which cannot be", what, part.Digest, part.Size).On(part.Digest.String())
		}
		m.ImageSize += part.Size
		if !seen[part.Digest] {
			seen[part.Digest] = true
			all = append(all, part.Digest)
		}
	}
	if len(all) > maxParts {
		return nil, invalidManifest("the %s names %d things; at most %d are taken", what, len(all), maxParts)
	}
	return all, nil
}

// maxConfig is how much of an image's configuration is read for its platform.
const maxConfig = 1 << 20

// describe fills in the platform of an image, which stands in its configuration.
func (c *Content) describe(ctx context.Context, name Name, m *Manifest) error {
	if m.ConfigType != v1.MediaTypeImageConfig && m.ConfigType != "application/vnd.docker.container.image.v1+json" {
		return nil
	}
	platform, err := c.platforms.Get(ctx, m.config, func(ctx context.Context) (v1.Platform, error) {
		return c.platform(ctx, name, m.config)
	})
	if errors.Is(err, ErrNoBlob) || errors.Is(err, ErrNoRepository) || errors.Is(err, blob.ErrNotFound) {
		return nil // keep says that it is missing
	}
	m.Architecture, m.OS = platform.Architecture, platform.OS
	return err
}

// platform reads the configuration of an image. One that cannot be has none.
func (c *Content) platform(ctx context.Context, name Name, d digest.Digest) (v1.Platform, error) {
	var config v1.Platform
	b, err := c.Store.Blob(ctx, name, d)
	if err != nil || b.Size > maxConfig {
		return config, err
	}
	content, err := c.Blobs.Open(ctx, b.Key)
	if err != nil {
		return config, err
	}
	text := make([]byte, b.Size)
	_, err = content.ReadAt(text, 0)
	if err := errors.Join(ignoreEOF(err), content.Close()); err != nil {
		return config, err
	}
	if json.Unmarshal(text, &config) != nil {
		return v1.Platform{}, nil
	}
	return v1.Platform{Architecture: config.Architecture, OS: config.OS}, nil
}

// keep writes manifest, tags and events. It runs in a transaction.
func (c *Content) keep(ctx context.Context, push Push, m *Manifest, tags []string) error {
	target, err := c.Store.Target(ctx, push.Name, *m, tags)
	if errors.Is(err, ErrNoRepository) {
		if err = c.make(ctx, push.Name, push.Now); err == nil {
			target, err = c.Store.Target(ctx, push.Name, *m, tags)
		}
	}
	if err == nil {
		err = target.check(push.Name, m.Digest, tags)
	}
	if err != nil {
		return err
	}
	if push.OnlyNew {
		for _, tag := range tags {
			if err := c.CheckNew(ctx, push.Name, tag, m.Digest); err != nil {
				return err
			}
		}
	}
	m.takeAsBlobs(target.Loose)
	if err := c.Store.PutManifest(ctx, push.Name, *m); err != nil {
		return err
	}
	return c.putTags(ctx, push.Name, m.Digest, tags, push.Actor, push.Now)
}

// takeAsBlobs makes blobs of children of an index. Builders keep their caches so: an index
// of layers, which lives as long as it does.
func (m *Manifest) takeAsBlobs(some []digest.Digest) {
	blobs := setOf(some)
	m.Blobs = append(m.Blobs, some...)
	m.Children = slices.DeleteFunc(m.Children, func(d digest.Digest) bool { return blobs[d] })
}

func setOf(all []digest.Digest) map[digest.Digest]bool {
	set := make(map[digest.Digest]bool, len(all))
	for _, d := range all {
		set[d] = true
	}
	return set
}

func missingPart(code, what string, d digest.Digest) error {
	return problem.New(problem.Invalid, code, "the manifest names the %s %s, which is not in the repository", what, d).On(d.String())
}

// Pull returns a manifest by tag or digest, if it may be read. It is not to be changed.
func (c *Content) Pull(ctx context.Context, name Name, reference string) (Manifest, error) {
	m, err := c.manifests.Get(ctx, place{name, reference}, func(ctx context.Context) (Manifest, error) { return c.Manifest(ctx, name, reference) })
	if err == nil && m.Effective&toRead == 0 {
		err = c.whyUnreadable(ctx, name, m, reference)
	}
	return m, err
}

// Manifest returns a manifest by tag or digest, with its body, readable or not.
func (c *Content) Manifest(ctx context.Context, name Name, reference string) (Manifest, error) {
	m, err := c.Store.Manifest(ctx, name, reference)
	return m, wire(err, name, reference)
}

// Manifests lists manifests of a repository, without bodies.
func (c *Content) Manifests(ctx context.Context, name Name, query ManifestQuery) ([]Manifest, error) {
	if query.Order != ByName && query.Last != "" && query.After.IsZero() {
		m, err := c.Store.Manifest(ctx, name, query.Last)
		if errors.Is(err, ErrNoManifest) {
			return nil, noPage(query.Last).Because(err)
		}
		if err != nil { // or the page would begin at the first manifest
			return nil, wire(err, name, query.Last)
		}
		query.After = m.Updated
	}
	all, err := c.Store.Manifests(ctx, name, query)
	return all, wire(err, name, "")
}

// Referrers lists manifests with a subject; an empty list for anything unknown.
func (c *Content) Referrers(ctx context.Context, name Name, q ReferrerQuery) ([]Manifest, error) {
	all, err := c.Store.Referrers(ctx, name, q)
	if errors.Is(err, ErrNoRepository) {
		return nil, nil
	}
	return all, err
}

// DeleteManifest removes a manifest and its tags.
func (c *Content) DeleteManifest(ctx context.Context, name Name, d digest.Digest, actor string, now time.Time) error {
	err := c.Store.InTx(ctx, func(ctx context.Context) error {
		if err := c.checkHeld(ctx, name, d, toDelete); err != nil {
			return err
		}
		keep, err := c.keeps(ctx, name.Registry)
		if err != nil {
			return err
		}
		if err := c.Store.DeleteManifest(ctx, name, d, now, keep); err != nil {
			return err
		}
		return c.Store.AddEvent(ctx, Event{Name: name, Action: Deleted, Digest: d, Actor: actor, Time: now})
	})
	return wire(err, name, d.String())
}

// tagAll is putTags if no tag is locked.
func (c *Content) tagAll(ctx context.Context, name Name, d digest.Digest, tags []string, actor string, now time.Time) error {
	for _, tag := range tags {
		if err := c.checkTag(ctx, name, tag, toWrite); err != nil {
			return err
		}
	}
	return c.putTags(ctx, name, d, tags, actor, now)
}

// putTags sets the tags and writes an event for each, or one for the manifest alone.
func (c *Content) putTags(ctx context.Context, name Name, d digest.Digest, tags []string, actor string, now time.Time) error {
	if len(tags) == 0 {
		return c.Store.AddEvent(ctx, Event{Name: name, Action: Pushed, Digest: d, Actor: actor, Time: now})
	}
	for _, tag := range tags {
		if err := c.Store.PutTag(ctx, name, tag, d, now); err != nil {
			return err
		}
		if err := c.Store.AddEvent(ctx, Event{Name: name, Action: Pushed, Tag: tag, Digest: d, Actor: actor, Time: now}); err != nil {
			return err
		}
	}
	return nil
}

// CheckNew returns a problem if the tag is there, unless it names this very manifest.
// In a transaction it holds until the end of it.
func (c *Content) CheckNew(ctx context.Context, name Name, tag string, but digest.Digest) error {
	t, err := c.Store.Tag(ctx, name, tag)
	if errors.Is(err, ErrNoManifest) || errors.Is(err, ErrNoRepository) || err == nil && t.Digest == but {
		return nil
	}
	if err != nil {
		return err
	}
	return problem.New(problem.Conflict, "Conflict", "Tag %s:%s already exists in target registry %s.", name.Repository, tag, name.Registry).
		Hint("import again with --force to replace it")
}

// ignoreEOF: ReadAt reports the end of the content even when it filled the buffer.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

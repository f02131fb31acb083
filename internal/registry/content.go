// Package registry holds the rules of registries: the registry resource itself, and
// what is in one, namely repositories, manifests, tags, blobs and uploads.
//
// Blobs are global and content-addressed; a repository may read a blob only through
// a link of its own. So mounting and importing within the installation cost one row,
// and knowing a digest opens nothing.
//
// The package knows neither HTTP nor who is asking. Every change of a tag or
// manifest writes an event in the same transaction; triggers and webhooks read the
// events and the registry does not know them.
package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/disk"
	"github.com/acrux/acrux/internal/memo"
	"github.com/acrux/acrux/internal/oci"
)

// Content serves what is in the registries. It is safe for concurrent use.
type Content struct {
	Store Store
	Blobs blob.Store
	// Policies returns the policies of a registry; nil says that there are none.
	Policies func(ctx context.Context, registry string) (Policies, error)
	// Reserve is what pushes leave of the disk. Set before use; nil is nothing.
	Reserve *disk.Reserve
	// Redirect sends clients to the blob store for blobs, where it can be read directly.
	Redirect bool

	busy sync.Map // IDs of uploads that a request is writing to

	manifests *memo.Memo[place, Manifest]
	blobs     *memo.Memo[place, Blob]
	platforms *memo.Memo[digest.Digest, v1.Platform] // by configuration
}

// place is something in a repository: a tag, a digest.
type place struct {
	Name
	reference string
}

// remembered is how many bytes of manifests are remembered.
const remembered = 8 << 20

// Remember makes pulls remember what they find for a generation of the store. It is
// called before the first request.
func (c *Content) Remember(generation memo.Generation) {
	c.manifests = memo.New[place](generation, remembered, func(m Manifest) int { return len(m.Body) + 1024 })
	c.blobs = memo.New[place, Blob](generation, 10_000, nil)
	c.platforms = memo.New[digest.Digest](memo.Never, remembered/8, func(p v1.Platform) int {
		return len(p.Architecture) + len(p.OS) + 128
	})
}

// The problems of a registry, with the codes of the OCI Distribution specification.
func unknownRepository(name Name) *problem.Error {
	return problem.New(problem.NotFound, "NAME_UNKNOWN", "repository name not known to registry").On(name.Repository)
}

// unknownManifest has ACR's words, which scripts look for.
func unknownManifest(name Name, reference string) *problem.Error {
	what := fmt.Sprintf("tagged by %q", reference)
	if digest.Digest(reference).Validate() == nil {
		what = reference
	}
	p := problem.New(problem.NotFound, "MANIFEST_UNKNOWN", "manifest %s is not found in repository %s", what, name.Repository)
	return p.On(reference)
}

func unknownTag(name Name, tag string) *problem.Error {
	return problem.New(problem.NotFound, "TAG_UNKNOWN", "the specified tag %s does not exist in repository %s", tag, name.Repository).On(tag)
}

func unknownBlob(d digest.Digest) *problem.Error {
	return problem.New(problem.NotFound, "BLOB_UNKNOWN", "blob unknown to registry").On(d.String())
}

func unknownUpload(id string) *problem.Error {
	return problem.New(problem.NotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry").On(id)
}

// Problem is a store's error about a repository as its problem.
func Problem(err error, name Name) error { return wire(err, name, "") }

// wire turns the store's errors into problems.
func wire(err error, name Name, what string) error {
	switch {
	case errors.Is(err, ErrNoRepository):
		return unknownRepository(name).Because(err)
	case errors.Is(err, ErrNoManifest):
		return unknownManifest(name, what).Because(err)
	case errors.Is(err, ErrNoBlob):
		return unknownBlob(digest.Digest(what)).Because(err)
	case errors.Is(err, ErrNoUpload):
		return unknownUpload(what).Because(err)
	case errors.Is(err, ErrUploadMoved):
		return problem.New(problem.Conflict, "BLOB_UPLOAD_INVALID", "another request is writing to this upload").Because(err)
	}
	return err
}

// Repository returns a repository.
func (c *Content) Repository(ctx context.Context, name Name) (Repository, error) {
	repo, err := c.Store.Repository(ctx, name)
	return repo, wire(err, name, "")
}

// Repositories lists the names of a registry's repositories.
func (c *Content) Repositories(ctx context.Context, registry string, page Page) ([]string, error) {
	return c.Store.Repositories(ctx, registry, page)
}

// DeleteRepository removes the repository with all that is in it, and says what that was.
func (c *Content) DeleteRepository(ctx context.Context, name Name, actor string, now time.Time) (manifests, tags []string, err error) {
	err = c.Store.InTx(ctx, func(ctx context.Context) error {
		if err := c.checkHeld(ctx, name, "", toDelete); err != nil {
			return err
		}
		keep, err := c.keeps(ctx, name.Registry)
		if err != nil {
			return err
		}
		all, err := c.Store.Manifests(ctx, name, ManifestQuery{Hidden: true})
		if err != nil {
			return err
		}
		for _, m := range all {
			manifests = append(manifests, m.Digest.String())
			tags = append(tags, m.Tags...)
			if err := c.Store.AddEvent(ctx, Event{Name: name, Action: Deleted, Digest: m.Digest, Actor: actor, Time: now}); err != nil {
				return err
			}
		}
		return c.Store.DeleteRepository(ctx, name, now, keep)
	})
	return manifests, tags, wire(err, name, "")
}

// PullBlob returns a blob of the repository, if it may be read.
func (c *Content) PullBlob(ctx context.Context, name Name, d digest.Digest) (Blob, error) {
	b, err := c.blobs.Get(ctx, place{name, string(d)}, func(ctx context.Context) (Blob, error) { return c.Blob(ctx, name, d) })
	if err != nil {
		return b, err
	}
	return b, Lock{Attributes: b.Attributes}.check(name, toRead)
}

// Grace is how long a blob that no manifest names stays in a repository.
const Grace = time.Hour

// HeadBlob is PullBlob for who asks whether a blob need not be pushed: he may name it in
// a manifest soon, so an unused one is not collected before that.
func (c *Content) HeadBlob(ctx context.Context, name Name, d digest.Digest, now time.Time) (Blob, error) {
	b, err := c.PullBlob(ctx, name, d)
	if err == nil && !b.Unused.IsZero() && now.Sub(b.Unused) > Grace/2 {
		err = c.Store.TouchBlob(ctx, name, d, now)
	}
	return b, err
}

// Blob returns a blob of the repository, readable or not.
func (c *Content) Blob(ctx context.Context, name Name, d digest.Digest) (Blob, error) {
	b, err := c.Store.Blob(ctx, name, d)
	return b, wire(err, name, d.String())
}

// OpenBlob opens the content of a blob of the repository. The caller closes it. A blob
// that was collected since it was found is unknown, as if it had been asked for later.
func (c *Content) OpenBlob(ctx context.Context, name Name, b Blob) (blob.Blob, error) {
	content, err := c.Blobs.Open(ctx, b.Key)
	if errors.Is(err, blob.ErrNotFound) {
		if _, gone := c.Blob(ctx, name, b.Digest); gone != nil {
			return nil, gone
		}
		err = fmt.Errorf("the content of blob %s is missing: %w", b.Digest, err)
	}
	return content, err
}

// redirectTTL is how long a URL leads to a blob in the store: long enough for a client to
// begin, and to begin again.
const redirectTTL = 10 * time.Minute

// BlobURL is where anybody may read the blob for some minutes, or empty if that is not
// possible or not wanted. The caller has checked that it may be read.
func (c *Content) BlobURL(ctx context.Context, b Blob) (string, error) {
	store, ok := c.Blobs.(blob.Presigner)
	if !ok || !c.Redirect {
		return "", nil
	}
	return store.Presign(ctx, b.Key, redirectTTL)
}

// Holder finds a repository of a registry that has the blob and may be read: the one
// named, or any if the name is empty.
func (c *Content) Holder(ctx context.Context, name Name, d digest.Digest) (Name, bool, error) {
	if name.Repository == "" {
		repository, err := c.Store.Holder(ctx, name.Registry, d)
		if errors.Is(err, ErrNoBlob) {
			return name, false, nil
		}
		return Name{Registry: name.Registry, Repository: repository}, err == nil, err
	}
	b, err := c.Store.Blob(ctx, name, d)
	if errors.Is(err, ErrNoBlob) || errors.Is(err, ErrNoRepository) {
		return name, false, nil
	}
	return name, err == nil && b.Attributes&toRead != 0, err
}

// enter makes sure, in a transaction, that there is a repository that may be written to. A
// registry that was deleted since the request was let in gets none: who made another one of
// the name would find it there.
func (c *Content) enter(ctx context.Context, name Name, now time.Time) error {
	repo, err := c.Store.Repository(ctx, name)
	if !errors.Is(err, ErrNoRepository) {
		if err != nil {
			return err
		}
		return Lock{Attributes: repo.Attributes}.check(name, toWrite)
	}
	return c.make(ctx, name, now)
}

// make makes a repository that is not there, in a registry that is.
func (c *Content) make(ctx context.Context, name Name, now time.Time) error {
	if c.Policies != nil {
		if _, err := c.Policies(ctx, name.Registry); errors.Is(err, resource.ErrNotFound) {
			return unknownRepository(name).Because(err)
		} else if err != nil {
			return err
		}
	}
	return c.Store.EnsureRepository(ctx, name, now)
}

// Mount links a blob of another repository of the installation. The caller has
// checked that the source may be read. It reports whether there was such a blob.
func (c *Content) Mount(ctx context.Context, name, from Name, d digest.Digest, now time.Time) (bool, error) {
	err := c.Store.InTx(ctx, func(ctx context.Context) error {
		b, err := c.Store.Blob(ctx, from, d)
		if err == nil && b.Attributes&toRead == 0 {
			err = ErrNoBlob
		}
		if err != nil {
			return err
		}
		if err := c.enter(ctx, name, now); err != nil {
			return err
		}
		_, err = c.Store.AddBlob(ctx, name, b, now)
		return err
	})
	if errors.Is(err, ErrNoBlob) || errors.Is(err, ErrNoRepository) {
		return false, nil
	}
	return err == nil, err
}

// UnlinkBlob takes a blob from the repository.
func (c *Content) UnlinkBlob(ctx context.Context, name Name, d digest.Digest) error {
	err := c.Store.InTx(ctx, func(ctx context.Context) error {
		if err := c.checkHeld(ctx, name, d, toDelete); err != nil {
			return err
		}
		return c.Store.UnlinkBlob(ctx, name, d)
	})
	return wire(err, name, d.String())
}

// Tag returns a tag.
func (c *Content) Tag(ctx context.Context, name Name, tag string) (Tag, error) {
	t, err := c.Store.Tag(ctx, name, tag)
	if errors.Is(err, ErrNoManifest) {
		return t, unknownTag(name, tag).Because(err)
	}
	return t, wire(err, name, tag)
}

// Tags lists tags.
func (c *Content) Tags(ctx context.Context, name Name, query TagQuery) ([]Tag, error) {
	if query.Order != ByName && query.Last != "" && query.After.IsZero() {
		t, err := c.Store.Tag(ctx, name, query.Last)
		if errors.Is(err, ErrNoManifest) {
			return nil, noPage(query.Last).Because(err)
		}
		if err != nil { // or the page would begin at the first tag
			return nil, wire(err, name, query.Last)
		}
		query.After = t.Updated
	}
	tags, err := c.Store.Tags(ctx, name, query)
	return tags, wire(err, name, "")
}

// noPage is the problem of going on, by time, after something that was deleted, without
// saying what its time was: an empty page would say that there is nothing left.
func noPage(last string) *problem.Error {
	return problem.New(problem.Invalid, "INVALID_PARAMETER", "last=%s was deleted since the last page; go on with the link of that page, or begin again", last).On("last")
}

// DeleteTag removes a tag; the manifest stays.
func (c *Content) DeleteTag(ctx context.Context, name Name, tag, actor string, now time.Time) error {
	return c.Store.InTx(ctx, func(ctx context.Context) error {
		t, err := c.Tag(ctx, name, tag)
		if err != nil {
			return err
		}
		if err := c.checkRepository(ctx, name, toDelete); err != nil {
			return err
		}
		if err := (Lock{Reference: tag, Attributes: t.Attributes}).check(name, toDelete); err != nil {
			return err
		}
		keep, err := c.keeps(ctx, name.Registry)
		if err != nil {
			return err
		}
		if err := c.Store.DeleteTag(ctx, name, tag, now, keep); err != nil {
			return err
		}
		return c.Store.AddEvent(ctx, Event{Name: name, Action: Deleted, Tag: tag, Digest: t.Digest, Actor: actor, Time: now})
	})
}

// DeleteTags removes those of the tags that are as they were seen and not locked, or locked
// as well; the manifests stay. It tells which. Many go at once, in one transaction.
func (c *Content) DeleteTags(ctx context.Context, name Name, seen []Tag, locked bool, actor string, now time.Time) (gone []Tag, err error) {
	need := Attributes(toDelete)
	if locked {
		need = 0
	}
	err = c.Store.InTx(ctx, func(ctx context.Context) error {
		if err := c.checkRepository(ctx, name, toDelete); err != nil {
			return err
		}
		keep, err := c.keeps(ctx, name.Registry)
		if err != nil {
			return err
		}
		if gone, err = c.Store.DeleteTags(ctx, name, seen, need, now, keep); err != nil {
			return err
		}
		events := make([]Event, 0, len(gone))
		for _, t := range gone {
			events = append(events, Event{Name: name, Action: Deleted, Tag: t.Name, Digest: t.Digest, Actor: actor, Time: now})
		}
		return c.Store.AddEvent(ctx, events...)
	})
	if err != nil {
		return nil, wire(err, name, "")
	}
	return gone, nil
}

// checkName returns a problem unless the name may name a repository.
func checkName(name Name) error {
	if !oci.ValidRepository(name.Repository) {
		return problem.New(problem.Invalid, "NAME_INVALID", "invalid repository name %q", name.Repository).On(name.Repository)
	}
	return nil
}

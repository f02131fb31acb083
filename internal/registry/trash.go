package registry

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Trash is what soft delete keeps: manifests and tags that were deleted and can be
// restored until their time is over. Their blobs stay linked.
type Trash interface {
	// DeletedRepositories lists repositories that have something in the trash.
	DeletedRepositories(ctx context.Context, registry string, page Page) ([]string, error)
	// DeletedManifests and DeletedTags list it, by digest and by name and time; or
	// ErrNoRepository.
	DeletedManifests(ctx context.Context, name Name, page Page) ([]Manifest, error)
	DeletedTags(ctx context.Context, name Name, page Page) ([]DeletedTag, error)
	// RestoreManifest takes a manifest out of the trash, with all below it that is there
	// as well; no error if it never was in it. ErrNoManifest if there is none.
	RestoreManifest(ctx context.Context, name Name, d digest.Digest, now time.Time) error
	// ForgetTag takes all that is known of a tag of the manifest out of the trash.
	ForgetTag(ctx context.Context, name Name, tag string, d digest.Digest) error
	// Expire removes for good up to n manifests of a registry that were deleted before a
	// time, and all tags; it returns how many manifests.
	Expire(ctx context.Context, registry string, before, now time.Time, n int) (int64, error)
}

// DeletedTag is a tag as it was when it was deleted.
type DeletedTag struct {
	Name    string
	Digest  digest.Digest
	Deleted time.Time
}

// keeps says whether what is deleted in a registry goes to the trash.
func (c *Content) keeps(ctx context.Context, registry string) (bool, error) {
	if c.Policies == nil {
		return false, nil
	}
	p, err := c.Policies(ctx, registry)
	return p.SoftDelete.On(), err
}

// Restoring asks for a manifest to be put back, under a tag if one is given.
type Restoring struct {
	Name   Name
	Digest digest.Digest
	Tag    string
	Force  bool // also if the tag names something else by now
	Actor  string
	Now    time.Time
}

// Restore puts a manifest back, and returns it.
func (c *Content) Restore(ctx context.Context, trash Trash, r Restoring) (m Manifest, err error) {
	err = c.Store.InTx(ctx, func(ctx context.Context) error {
		if err := trash.RestoreManifest(ctx, r.Name, r.Digest, r.Now); err != nil {
			return err
		}
		if err := c.checkRepository(ctx, r.Name, toWrite); err != nil {
			return err
		}
		if r.Tag != "" {
			if err := c.retag(ctx, trash, r); err != nil {
				return err
			}
		}
		m, err = c.Manifest(ctx, r.Name, r.Digest.String())
		return errors.Join(err, c.Store.AddEvent(ctx, Event{Name: r.Name, Action: Restored, Tag: r.Tag, Digest: r.Digest, Actor: r.Actor, Time: r.Now}))
	})
	return m, wire(err, r.Name, r.Digest.String())
}

func (c *Content) retag(ctx context.Context, trash Trash, r Restoring) error {
	t, err := c.Store.Tag(ctx, r.Name, r.Tag)
	switch {
	case err == nil && t.Digest == r.Digest:
		return trash.ForgetTag(ctx, r.Name, r.Tag, r.Digest)
	case err == nil && !r.Force:
		return problem.New(problem.Conflict, "CONFLICT", "tag %s of repository %s names %s by now", r.Tag, r.Name.Repository, t.Digest).On(r.Tag).Hint("restore with --force to move the tag")
	case err == nil:
		if err := (Lock{Reference: r.Tag, Attributes: t.Attributes}).check(r.Name, toWrite); err != nil {
			return err
		}
	case !errors.Is(err, ErrNoManifest):
		return err
	}
	if err := c.Store.PutTag(ctx, r.Name, r.Tag, r.Digest, r.Now); err != nil {
		return err
	}
	return trash.ForgetTag(ctx, r.Name, r.Tag, r.Digest)
}

// Package collect takes away what nobody needs any more: content that no manifest names,
// manifests that lost their tags, what was deleted and can no longer be restored, and
// tags that a person wants purged.
//
//	manifest gone ─▶ its blobs unused in the repository ─▶ grace ─▶ link gone
//	last link gone ─▶ row of the blob gone, its storage key noted as garbage ─▶ content deleted ─▶ note gone
//
// Each arrow is a transaction of its own, and what is to be done next is a row, so a
// kill at any point leaves work that the next collection does. Pushes go on meanwhile: a
// storage key is never used again, so a push that comes after the row of a blob went
// brings content of its own. What was pushed, mounted or asked for while it was unused
// begins its grace anew.
//
// Nothing here ever breaks a tag that is left, nor what refers to its image: a manifest
// goes only if, in the transaction in which it goes, it has no tag, no index contains it
// and what it refers to is not there.
package collect

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/registry"
)

// Grace is how long a blob that no manifest names stays linked: a client may have pushed
// or seen it and be about to push the manifest.
const Grace = registry.Grace

// Store keeps what collection needs to know. Methods take part in ctx's transaction.
type Store interface {
	resource.Transactor

	// Plan counts what Unlink, DropBlobs and DropPayloads would remove.
	Plan(ctx context.Context, before time.Time) (Report, error)
	// Usage adds up what there is.
	Usage(ctx context.Context, now time.Time) (Usage, error)
	// Unlink removes up to n links that have been unused since before a time.
	Unlink(ctx context.Context, before time.Time, n int) (int64, error)
	// DropBlobs looks at up to n blobs that lost a link, removes those without any and
	// notes their content as garbage; more is whether others wait.
	DropBlobs(ctx context.Context, n int) (dropped Amount, more bool, err error)
	// DropPayloads does the same with the bytes of manifests, which are in the database.
	DropPayloads(ctx context.Context, n int) (dropped Amount, more bool, err error)
	// Garbage lists content that is still to be deleted; Forget takes one from the list.
	Garbage(ctx context.Context, n int) ([]blob.Key, error)
	Forget(ctx context.Context, key blob.Key) error
	// Known reports whether any row names the key.
	Known(ctx context.Context, key blob.Key) (bool, error)

	// Blobs and Payloads list all there are, by digest.
	Blobs(ctx context.Context, after digest.Digest, n int) ([]registry.Blob, error)
	Payloads(ctx context.Context, after digest.Digest, n int) ([]registry.Manifest, error)
	// Images are manifests that a digest is, or that name it.
	Images(ctx context.Context, d digest.Digest, n int) ([]Image, error)

	// RepositoryNames lists the repositories of a registry.
	RepositoryNames(ctx context.Context, registryName, after string, n int) ([]string, error)
	// Untagged lists manifests that have had no tag since before a time, by digest.
	Untagged(ctx context.Context, name registry.Name, before time.Time, after digest.Digest, n int) ([]digest.Digest, error)
	// Expendable reports whether a manifest has no tag, is in no index, refers to
	// nothing that is there, and passes the guard.
	Expendable(ctx context.Context, name registry.Name, d digest.Digest, g Guard) (bool, error)
	// Graph is what a repository holds.
	Graph(ctx context.Context, name registry.Name) (Graph, error)
}

// Guard is what else must be so for a manifest to go.
type Guard struct {
	Before time.Time // it has had no tag since before this time
	ByPush bool      // or rather: it was pushed before this time
	Locked bool      // it may be locked
}

// Amount is a number of things and their size.
type Amount struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
}

// Plus is the sum.
func (a Amount) Plus(b Amount) Amount { return Amount{a.Count + b.Count, a.Bytes + b.Bytes} }

// Report is what a collection did, or would do.
type Report struct {
	Links     int64  `json:"links"`     // of repositories to blobs
	Blobs     Amount `json:"blobs"`     // rows that went
	Manifests Amount `json:"manifests"` // bytes of manifests in the database
	Files     int64  `json:"files"`     // content deleted from the store
	Orphans   int64  `json:"orphans"`   // of those, content that no row named
}

// Usage is what the content of registries takes, as its rows say.
type Usage struct {
	Registries []RegistrySize // the largest first; what two of them have counts for both
	Blobs      Amount         // all that rows name, each once
	Restorable Amount         // of those, what only deleted manifests have
	Unneeded   Amount         // of those, what the next collection takes
	Garbage    Amount         // content that is no longer named and still to be deleted
	Uploads    Amount         // what pushes under way have sent
}

// RegistrySize is the size of a registry with all that can be restored.
type RegistrySize struct {
	Registry string
	Bytes    int64
}

// Image is a manifest of a repository.
type Image struct {
	Name   registry.Name
	Digest digest.Digest
}

// String is the image as people write it.
func (i Image) String() string {
	return i.Name.Registry + "/" + i.Name.Repository + "@" + i.Digest.String()
}

// Collector collects. Its fields are set once; it is safe for concurrent use.
type Collector struct {
	Store Store
	Blobs blob.Store
}

// batch is how much one transaction does: others wait for it.
const batch = 100

// Plan says what Collect would remove, without orphans.
func (c *Collector) Plan(ctx context.Context, now time.Time, grace time.Duration) (Report, error) {
	return c.Store.Plan(ctx, now.Add(-grace))
}

// Collect removes what nobody needs.
func (c *Collector) Collect(ctx context.Context, now time.Time, grace time.Duration) (Report, error) {
	var r Report
	for {
		n, err := c.Store.Unlink(ctx, now.Add(-grace), batch)
		r.Links += n
		if err != nil {
			return r, fmt.Errorf("removing unused links: %w", err)
		}
		if n < batch {
			break
		}
	}
	for _, drop := range []struct {
		fn  func(context.Context, int) (Amount, bool, error)
		sum *Amount
	}{{c.Store.DropBlobs, &r.Blobs}, {c.Store.DropPayloads, &r.Manifests}} {
		for more := true; more; {
			dropped, left, err := drop.fn(ctx, batch)
			*drop.sum, more = drop.sum.Plus(dropped), left
			if err != nil {
				return r, fmt.Errorf("removing unused content: %w", err)
			}
		}
	}
	n, err := c.sweep(ctx)
	r.Files += n
	return r, err
}

// sweep deletes the content that is noted as garbage.
func (c *Collector) sweep(ctx context.Context) (files int64, err error) {
	for {
		keys, err := c.Store.Garbage(ctx, batch)
		if err != nil || len(keys) == 0 {
			return files, err
		}
		for _, key := range keys {
			if err := c.Blobs.Delete(ctx, key); err != nil {
				return files, fmt.Errorf("deleting content: %w", err)
			}
			files++
		}
		err = c.Store.InTx(ctx, func(ctx context.Context) error {
			for _, key := range keys {
				if err := c.Store.Forget(ctx, key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return files, err
		}
	}
}

// OrphanAge is how old content must be to be taken for an orphan: what is younger may
// belong to a push whose row is about to be written.
const OrphanAge = 24 * time.Hour

// Orphans deletes content that no row names, as a crash between writing it and its row
// leaves it. It looks at everything in the store.
func (c *Collector) Orphans(ctx context.Context, now time.Time, age time.Duration, dry bool) (orphans int64, err error) {
	for info, err := range c.Blobs.List(ctx) {
		if err != nil {
			return orphans, fmt.Errorf("listing content: %w", err)
		}
		if now.Sub(info.Modified) < age {
			continue
		}
		known, err := c.Store.Known(ctx, info.Key)
		if err != nil {
			return orphans, err
		}
		if known {
			continue
		}
		orphans++
		if dry {
			continue
		}
		if err := c.Blobs.Delete(ctx, info.Key); err != nil {
			return orphans, fmt.Errorf("deleting an orphan: %w", err)
		}
	}
	return orphans, nil
}

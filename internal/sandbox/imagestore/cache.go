package imagestore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// cachePrefix begins the names under which pulled images outlive their runs. They
// are named by digest, and no run ever looks them up: they only keep blobs from
// being collected.
const cachePrefix = "cache.local/"

func (s *Store) remember(ctx context.Context, target ocispec.Descriptor) error {
	return s.set(ctx, cachePrefix+target.Digest.Algorithm().String()+"-"+target.Digest.Encoded(), target)
}

// Keep is how many pulled images stay after their runs, and for how long after they
// were last pulled.
type Keep struct {
	Images int
	Age    time.Duration
}

// DefaultKeep is for a machine with an ordinary disk.
var DefaultKeep = Keep{Images: 100, Age: 7 * 24 * time.Hour}

// Forget lets go of pulled images beyond keep, the longest unused first, and
// collects what was theirs.
func (s *Store) Forget(ctx context.Context, keep Keep, now time.Time) error {
	ctx = within(ctx)
	all, err := s.images.List(ctx)
	if err != nil {
		return fmt.Errorf("listing images: %w", err)
	}
	type entry struct {
		name string
		used time.Time
	}
	var kept []entry
	for _, image := range all {
		if strings.HasPrefix(image.Name, cachePrefix) {
			kept = append(kept, entry{image.Name, image.UpdatedAt})
		}
	}
	slices.SortFunc(kept, func(a, b entry) int { return b.used.Compare(a.used) })
	drop := map[string]bool{}
	for i, e := range kept {
		if i >= keep.Images || now.Sub(e.used) > keep.Age {
			drop[e.name] = true
		}
	}
	if len(drop) == 0 {
		return nil
	}
	if err := s.removeNames(ctx, func(name string) bool { return drop[name] }); err != nil {
		return err
	}
	return s.Collect(ctx)
}

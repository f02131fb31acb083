//go:build linux && cgo

package buildkit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/worker/base"
)

// DefaultCacheBytes is how much the build cache may take by default.
const DefaultCacheBytes = 10 << 30

const (
	// cacheMountIndex begins the index under which BuildKit finds cache mounts
	// (solver/llbsolver/mounts, v0.34.2).
	cacheMountIndex = "cache-dir:"
	// notCacheMounts is every record but cache mounts, in the words of BuildKit's filters.
	notCacheMounts = "type!=" + string(client.UsageRecordTypeCacheMount)
	allCacheMounts = "type==" + string(client.UsageRecordTypeCacheMount)
)

// collector keeps the build cache within its bounds.
//
// BuildKit would do that itself, a second after each build. To find out how large a cache
// mount is, it takes the mount for itself meanwhile, and a RUN that wants it just then is
// given a new, empty one: the cache is lost (cache/manager.go, DiskUsage; v0.34.2). So
// BuildKit has no rules to collect by, and this asks it for the sizes of all else; those
// of cache mounts are read from their files.
type collector struct {
	worker *base.Worker
	bytes  int64 // what the cache may take
}

// forget lets go of the contexts of builds, which were sent for one run each.
func (c collector) forget(ctx context.Context) error {
	_, err := c.prune(ctx, client.PruneInfo{Filter: []string{"type==" + string(client.UsageRecordTypeLocalSource)}})
	return err
}

// shrink removes what was not used for longest until the cache is as small as it may be.
// What a build uses, or something newer is made from, stays. Cache mounts are what took
// longest to make: they go last.
func (c collector) shrink(ctx context.Context) error {
	for {
		layers, err := c.worker.DiskUsage(ctx, client.DiskUsageInfo{Filter: []string{notCacheMounts}})
		if err != nil {
			return fmt.Errorf("measuring the build cache: %w", err)
		}
		total, err := c.mounts(ctx)
		if err != nil {
			return err
		}
		for _, record := range layers {
			if !record.Shared {
				total += record.Size
			}
		}
		if total <= c.bytes {
			return nil
		}
		removed, err := c.remove(ctx, layers, total-c.bytes)
		if err == nil && removed == 0 { // no layer is left that nobody needs
			_, err = c.prune(ctx, client.PruneInfo{All: true, Filter: []string{allCacheMounts}})
			return err
		}
		if err != nil {
			return err
		}
	}
}

// mounts is how many bytes cache mounts take.
func (c collector) mounts(ctx context.Context) (total int64, err error) {
	found, err := c.worker.CacheMgr.Search(ctx, cacheMountIndex, true)
	if err != nil {
		return 0, fmt.Errorf("listing cache mounts: %w", err)
	}
	for _, one := range found {
		usage, err := c.worker.Snapshotter.Usage(ctx, one.ID())
		if err != nil {
			continue // it was removed meanwhile
		}
		total += usage.Size
	}
	return total, nil
}

// remove removes the oldest records that nothing needs, until enough bytes are free, and
// tells how many that were.
func (c collector) remove(ctx context.Context, records []*client.UsageInfo, enough int64) (removed int, err error) {
	for records = oldestFirst(records); enough > 0 && len(records) > 0; {
		var some []string
		for size := int64(0); size < enough && len(records) > 0; records = records[1:] {
			size += records[0].Size
			some = append(some, "id=="+records[0].ID)
		}
		gone, err := c.prune(ctx, client.PruneInfo{All: true, Filter: some})
		if err != nil {
			return removed, err
		}
		for _, record := range gone {
			enough -= record.Size
		}
		removed += len(gone)
	}
	return removed, nil
}

// oldestFirst is the order in which records that nothing needs are to go: as they were
// used, where what something is made from counts as used with it. BuildKit itself notes
// the two one after the other, in any order.
func oldestFirst(records []*client.UsageInfo) []*client.UsageInfo {
	byID := make(map[string]*client.UsageInfo, len(records))
	for _, record := range records {
		byID[record.ID] = record
	}
	used := make(map[string]time.Time, len(records))
	var use func(id string, at time.Time)
	use = func(id string, at time.Time) {
		record := byID[id]
		if record == nil || !at.After(used[id]) {
			return
		}
		used[id] = at
		for _, parent := range record.Parents {
			use(parent, at)
		}
	}
	for _, record := range records {
		use(record.ID, lastUsed(record))
	}
	removable := slices.DeleteFunc(records, func(r *client.UsageInfo) bool { return r.InUse || r.Shared })
	slices.SortFunc(removable, func(a, b *client.UsageInfo) int {
		// Of two used at once the newer one is what is made from the other.
		return cmp.Or(used[a.ID].Compare(used[b.ID]), b.CreatedAt.Compare(a.CreatedAt))
	})
	return removable
}

func lastUsed(record *client.UsageInfo) time.Time {
	if record.LastUsedAt != nil {
		return *record.LastUsedAt
	}
	return record.CreatedAt
}

// prune removes records that nothing uses, and tells which ones.
func (c collector) prune(ctx context.Context, what client.PruneInfo) (removed []client.UsageInfo, err error) {
	gone := make(chan client.UsageInfo)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for one := range gone {
			removed = append(removed, one)
		}
	}()
	err = c.worker.Prune(ctx, gone, what)
	close(gone)
	<-told
	if err != nil {
		return removed, fmt.Errorf("removing from the build cache: %w", err)
	}
	return removed, nil
}

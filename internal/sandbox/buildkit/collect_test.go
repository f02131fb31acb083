//go:build linux && cgo

package buildkit

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/snapshot"
	"github.com/moby/buildkit/worker/base"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// measured tells when somebody wants to know how large a snapshot is.
type measured struct {
	snapshot.Snapshotter
	during func(key string)
}

func (m measured) Usage(ctx context.Context, key string) (snapshots.Usage, error) {
	m.during(key)
	return m.Snapshotter.Usage(ctx, key)
}

// A RUN that wants a cache mount while the cache is measured must get that one: BuildKit
// would give it a new, empty one if it could not.
func TestCacheMountsCanBeHadWhileTheyAreMeasured(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("layers take root")
		}
		t.Skip("layers take root")
	}
	ctx, dir := t.Context(), t.TempDir()
	store, err := imagestore.Open(ctx, filepath.Join(dir, "images"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	runtime, err := container.New(filepath.Join(dir, "containers"))
	if err != nil {
		t.Fatal(err)
	}
	dialer := &egress.Dialer{}
	root := filepath.Join(dir, "build")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	options, err := workerOptions(Options{Root: root, Store: store, Registries: imagestore.NewRegistries(dialer), Dialer: dialer, Runtime: runtime})
	if err != nil {
		t.Fatal(err)
	}
	measurements, wanted := 0, true
	var w *base.Worker
	options.Snapshotter = measured{options.Snapshotter, func(key string) {
		if !wanted {
			return
		}
		measurements++
		mount, err := w.CacheMgr.GetMutable(ctx, key)
		if err != nil {
			t.Errorf("the mount cannot be had while it is measured: %v", err)
			return
		}
		if err := mount.Release(ctx); err != nil {
			t.Error(err)
		}
	}}
	if w, err = base.NewWorker(ctx, options); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	mount, err := w.CacheMgr.New(ctx, nil, nil, cache.WithRecordType(client.UsageRecordTypeCacheMount), cache.CachePolicyRetain)
	if err != nil {
		t.Fatal(err)
	}
	// As BuildKit marks what it finds cache mounts by.
	if err := mount.SetString("cache-dir", "one", cacheMountIndex+"one"); err != nil {
		t.Fatal(err)
	}
	if err := mount.Release(ctx); err != nil {
		t.Fatal(err)
	}
	c := collector{worker: w, bytes: 1 << 30}
	if err := c.shrink(ctx); err != nil {
		t.Fatal(err)
	}
	if measurements == 0 {
		t.Error("nobody asked how large the mount is")
	}
	wanted, c.bytes = false, 0
	if err := c.shrink(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CacheMgr.GetMutable(ctx, mount.ID()); err == nil {
		t.Error("a cache that takes too much keeps its mount")
	}
}

// What a layer is made from was used when the layer was, however BuildKit notes it.
func TestOldestFirst(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	record := func(id string, created, used int, parents ...string) *client.UsageInfo {
		last := at(used)
		return &client.UsageInfo{ID: id, CreatedAt: at(created), LastUsedAt: &last, Parents: parents}
	}
	needed := record("needed", 1, 1)
	needed.InUse = true
	unused := &client.UsageInfo{ID: "unused", CreatedAt: at(5)}
	records := []*client.UsageInfo{
		record("newest", 30, 30, "middle"),
		record("base", 10, 31), // noted after the layer made from it
		record("middle", 20, 29, "base"),
		record("older", 11, 12, "base"),
		needed, unused,
	}
	var order []string
	for _, record := range oldestFirst(records) {
		order = append(order, record.ID)
	}
	// The base was last used at 31: what else was used of it goes first.
	if want := []string{"unused", "older", "newest", "middle", "base"}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}

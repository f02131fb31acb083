package collect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/registry/collect"
)

// What can be restored, what nothing needs and what is shared is told apart, and agrees with what a
// collection does then.
func TestUsage(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("hello")
	empty, err := w.store.Usage(ctx, w.now)
	must(t, err)
	same(t, empty, collect.Usage{})

	w.keeps = true
	gone, kept := w.simple(t, at, "gone", "one"), w.simple(t, at, "kept", "three")
	w.simple(t, name("other"), "kept", "three")
	_, err = w.AddBlob(ctx, at, strings.NewReader("stray"), digestOf("stray"), w.now)
	must(t, err)
	must(t, w.DeleteManifest(ctx, at, digestOf(gone), "me", w.now))
	bytes := int64(len(config) + len("one") + len("three") + len("stray"))
	want := collect.Usage{
		Registries: []collect.RegistrySize{{Registry: "reg", Bytes: bytes + int64(len(gone)+len(kept))}},
		Blobs:      collect.Amount{Count: 4, Bytes: bytes}, Restorable: collect.Amount{Count: 1, Bytes: 3},
	}
	got, err := w.store.Usage(ctx, w.now)
	must(t, err)
	same(t, got, want)

	w.now = w.now.Add(collect.Grace + time.Second)
	want.Unneeded = collect.Amount{Count: 1, Bytes: 5}
	got, err = w.store.Usage(ctx, w.now)
	must(t, err)
	same(t, got, want)
	_, err = w.collector.Collect(ctx, w.now, collect.Grace)
	must(t, err)
	got, err = w.store.Usage(ctx, w.now)
	must(t, err)
	same(t, []collect.Amount{got.Blobs, got.Unneeded, got.Garbage, got.Restorable},
		[]collect.Amount{{Count: 3, Bytes: bytes - 5}, {}, {}, {Count: 1, Bytes: 3}})
}

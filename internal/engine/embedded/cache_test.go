//go:build linux && cgo

package embedded

import (
	"fmt"
	"testing"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// What the cache may take goes to what was used last.
func TestCacheIsBounded(t *testing.T) {
	needRoot(t)
	// There is room for the base (3 MB) and two layers, each 1 MB unpacked and 1 MB packed.
	e, err := Open(t.Context(), Options{Root: t.TempDir(), Dialer: loopback(), CacheBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	base := enginetest.NewFixtures(t).Base
	dockerfile := func(n int) string {
		return fmt.Sprintf("FROM %s\nRUN head -c 1048576 /dev/urandom > /large%d\n", base, n)
	}
	for n := range 6 {
		b := openBuilds(t, e, fmt.Sprintf("run%d", n), nil)
		if result, out := b.build(dockerfile(n), engine.Build{}); !result.OK {
			t.Fatalf("build %d: %s", n, out)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := e.builder.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b := openBuilds(t, e, "last", nil)
	for n := 5; n >= 4; n-- {
		if result, out := b.build(dockerfile(n), engine.Build{}); result.Layers.Cached != 1 {
			t.Errorf("layer %d is gone: %+v\n%s", n, result, out)
		}
	}
	if result, out := b.build(dockerfile(0), engine.Build{}); result.Layers.Cached != 0 {
		t.Errorf("the oldest layer is there: %+v\n%s", result, out)
	}
}

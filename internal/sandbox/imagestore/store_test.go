//go:build linux

package imagestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/egress"
)

func openStore(t *testing.T) *Store {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("the overlay file system needs root")
		}
		t.Skip("the overlay file system needs root")
	}
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func descriptor(content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: images.MediaTypeDockerSchema2Manifest, Digest: digest.FromString(content), Size: int64(len(content))}
}

func names(t *testing.T, s *Store) int {
	t.Helper()
	all, err := s.images.List(within(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestForget(t *testing.T) {
	s := openStore(t)
	for _, content := range []string{"a", "b", "c"} {
		if err := s.remember(within(t.Context()), descriptor(content)); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for _, test := range []struct {
		keep Keep
		now  time.Time
		want int
	}{
		{Keep{Images: 3, Age: time.Hour}, now, 3},
		{Keep{Images: 2, Age: time.Hour}, now, 2},
		{Keep{Images: 2, Age: time.Hour}, now.Add(2 * time.Hour), 0},
	} {
		if err := s.Forget(t.Context(), test.keep, test.now); err != nil {
			t.Fatal(err)
		}
		if got := names(t, s); got != test.want {
			t.Errorf("%+v: %d images are left, want %d", test.keep, got, test.want)
		}
	}
}

// Opening the store again ends what runs of a killed process held.
func TestOpenCleansUp(t *testing.T) {
	s := openStore(t)
	r, err := s.OpenRun(t.Context(), "left", NewRegistries(new(egress.Dialer)), nil)
	if err != nil {
		t.Fatal(err)
	}
	image, err := Parse("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.set(r.within(t.Context()), r.Name(image), descriptor("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.cleanup(within(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s); got != 0 {
		t.Errorf("%d names are left", got)
	}
	if _, err := s.OpenRun(t.Context(), "left", NewRegistries(new(egress.Dialer)), nil); err != nil {
		t.Errorf("the run's lease is left: %v", err)
	}
}

// A process that is killed while it makes a layer leaves the layer's directory, and no word of
// it. The layers that are made next have the same numbers.
func TestOpenRemovesWhatNobodyKnows(t *testing.T) {
	openStore(t) // is root
	dir := t.TempDir()
	prepare := func(key string) error {
		t.Helper()
		s, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		ctx := leases.WithLease(within(t.Context()), key)
		if _, err = s.leases.Create(ctx, leases.WithID(key)); err == nil {
			_, err = s.snapshots.Prepare(ctx, key, "")
		}
		return errors.Join(err, s.Close())
	}
	layers := filepath.Join(dir, "snapshots", "snapshots")
	for n, left := range [][]string{{"1"}, {"2", "3", "new-4"}} {
		for _, name := range left {
			if err := os.MkdirAll(filepath.Join(layers, name, "fs"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := prepare(fmt.Sprint("layer", n)); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(layers, "new-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

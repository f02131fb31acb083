package blobstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/blob/blobtest"
	"github.com/acrux/acrux/internal/store/blobstore"
)

func open(t *testing.T, dir string) *blobstore.Local {
	t.Helper()
	l, err := blobstore.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLocal(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) func() blob.Store {
		dir := t.TempDir()
		return func() blob.Store { return open(t, dir) }
	})
}

// suspended leaves an upload of "hello" and returns its state.
func suspended(t *testing.T, l *blobstore.Local) blob.State {
	t.Helper()
	u, err := l.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.ReadFrom(strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	state, err := u.Suspend()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// Another process goes on with an upload, or finds that a power failure took bytes
// that the state vouches for: then it must not go on as if they were there.
func TestLocalReopened(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name string
		size int64 // of the file, after the crash
		want error
	}{{"as it was", 5, nil}, {"longer", 9000, nil}, {"shorter", 4, blob.ErrNotFound}, {"empty", 0, blob.ErrNotFound}} {
		t.Run(test.name, func(t *testing.T) {
			state := suspended(t, open(t, dir))
			if err := os.Truncate(filepath.Join(dir, "blobs", string(state.Key[:2]), string(state.Key)), test.size); err != nil {
				t.Fatal(err)
			}
			u, err := open(t, dir).Resume(t.Context(), state)
			if !errors.Is(err, test.want) {
				t.Fatalf("the error is %v", err)
			}
			if err != nil {
				return
			}
			if _, err := u.Commit(t.Context(), digest.FromString("hello")); err != nil {
				t.Error(err)
			}
		})
	}
}

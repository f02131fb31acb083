package buildkit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"
)

// A build that ended because a file could not be read says so, also where BuildKit says only
// that the transfer was canceled.
func TestUnreadableFileIsTheReason(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Dir(dir), filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	files, err := openDir("", dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &prepared{context: files, beside: files, file: &dockerfile{}}
	defer p.close()
	show := &display{prepared: p}
	canceled := grpcerrors.WrapCode(context.Canceled, codes.Canceled)
	missing := errors.New("something else")
	for _, name := range []string{"none", "out/x"} {
		if got := show.reason(canceled, &findings{}); got != plainReason(canceled) {
			t.Errorf("before %s was read: %s", name, got)
		}
		if _, err := files.Open(name); err == nil {
			t.Fatalf("%s could be read", name)
		}
	}
	if got := show.reason(canceled, &findings{}); got != "openat out/x: path escapes from parent" {
		t.Error(got)
	}
	if got := show.reason(missing, &findings{}); got != missing.Error() {
		t.Error(got)
	}
}

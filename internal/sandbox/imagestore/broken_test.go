package imagestore

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
)

func TestUnpackError(t *testing.T) {
	const at = "/data/engine/images/snapshots/snapshots/26/fs"
	linked := &os.LinkError{Op: "link", Old: at + "/a", New: at + "/b", Err: syscall.ENOENT}
	var broken *Broken
	if err := unpackError(t.Context(), linked); !errors.As(err, &broken) || err.Error() != "failed to register layer: link /a /b: no such file or directory" {
		t.Error(err)
	}
	full := &os.PathError{Op: "write", Path: at + "/a", Err: syscall.ENOSPC}
	if err := unpackError(t.Context(), full); errors.As(err, &broken) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk is the image's fault: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := unpackError(ended, linked); errors.As(err, &broken) {
		t.Errorf("the end of a run is the image's fault: %v", err)
	}
}

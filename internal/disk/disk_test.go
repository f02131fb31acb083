package disk

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := int64(100)
		r := New(t.TempDir(), 50, slog.New(slog.DiscardHandler))
		r.free = func(string) (int64, error) { return free, nil }
		if err := r.Room(); err != nil {
			t.Fatal(err)
		}
		free = 49
		time.Sleep(2 * freshness)
		if err := r.Room(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("below the reserve: %v", err)
		}
		// What is on its way ends where the reserve begins.
		free = 100
		time.Sleep(2 * freshness)
		from := r.Reader(bytes.NewReader(make([]byte, 3*step)))
		if _, err := io.CopyN(io.Discard, from, step); err != nil {
			t.Fatal(err)
		}
		free = 0
		time.Sleep(2 * freshness)
		if n, err := io.Copy(io.Discard, from); !errors.Is(err, syscall.ENOSPC) || n > step {
			t.Errorf("%d more bytes were read: %v", n, err)
		}
	})
}

func TestNoReserve(t *testing.T) {
	r := New("/", 0, nil)
	from := bytes.NewReader(nil)
	if r.Room() != nil || r.Reader(from) != io.Reader(from) {
		t.Error("a reserve of nothing keeps something")
	}
	if free, err := Free(t.TempDir()); err != nil || free <= 0 {
		t.Errorf("%d bytes are free: %v", free, err)
	}
}

// Package disk keeps a part of a disk free, for what must go on when the rest is full: the
// database, runs under way, and whoever cleans up.
package disk

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

// Reserve is a part of the disk that a directory is on. It is safe for concurrent use; nil
// is none.
//
// Its last part is held by a file, so that it is there even if others fill the disk: Spend.
type Reserve struct {
	dir     string
	bytes   int64
	ballast ballast
	log     *slog.Logger
	free    func(dir string) (int64, error)

	mu    sync.Mutex
	asked time.Time
	err   error
}

// New returns a reserve of so many bytes where dir is; 0 is none. The log is told when its
// last part is used.
func New(dir string, bytes int64, log *slog.Logger) *Reserve {
	if bytes == 0 {
		return nil
	}
	return &Reserve{dir: dir, bytes: bytes, ballast: newBallast(dir, bytes), log: log, free: Free}
}

// freshness is how long an answer holds: less than a fast disk takes to fill a reserve.
const freshness = 100 * time.Millisecond

// Room returns nil while there is more than the reserve, and an error that is
// syscall.ENOSPC otherwise: what is new is refused then, and what is there can be read.
func (r *Reserve) Room() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.asked) > freshness {
		r.asked, r.err = now, r.ask()
	}
	return r.err
}

func (r *Reserve) ask() error {
	free, err := r.free(r.dir)
	if err != nil {
		return fmt.Errorf("looking at the disk: %w", err)
	}
	if free < r.bytes {
		return fmt.Errorf("%d bytes are free at %s, and %d are kept: %w", free, r.dir, r.bytes, syscall.ENOSPC)
	}
	return nil
}

// Reader reads while there is room.
func (r *Reserve) Reader(from io.Reader) io.Reader {
	if r == nil {
		return from
	}
	return &reader{from: from, reserve: r}
}

// step is after how many bytes a reader asks again.
const step = 4 << 20

type reader struct {
	from    io.Reader
	reserve *Reserve
	left    int
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		if err := r.reserve.Room(); err != nil {
			return 0, err
		}
		r.left = step
	}
	n, err := r.from.Read(p)
	r.left -= n
	return n, err
}

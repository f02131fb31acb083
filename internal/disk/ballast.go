package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	// mostBallast is how much of a reserve is held in a file; of small reserves it is a
	// quarter. A deletion of 100,000 tags at once takes about half of it.
	mostBallast = 64 << 20
	// enough is what a small write takes at most, with what the database keeps beside it.
	enough = 8 << 20
)

// ballast is a file that holds a part of the disk so that it can be given up. Others who
// use the disk cannot take it, unlike space that is merely left free. What it holds is in
// the file system, so that a process that was killed has left it as it was, and commands
// beside a server share it.
type ballast struct {
	file string
	size int64 // bytes, when there is room
}

func newBallast(dir string, reserve int64) ballast {
	return ballast{file: filepath.Join(dir, "ballast"), size: min(mostBallast, reserve/4)}
}

// held is how many bytes the file holds.
func (b ballast) held() int64 {
	info, err := os.Stat(b.file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// give gives up to n bytes up, and tells how many.
func (b ballast) give(n int64) (given int64, err error) {
	held := b.held()
	given = min(held, n)
	if given <= 0 {
		return 0, nil
	}
	if err := os.Truncate(b.file, held-given); err != nil {
		return 0, fmt.Errorf("giving up what was kept of the disk: %w", err)
	}
	return given, nil
}

// take makes the file hold what it should. There must be room for it.
func (b ballast) take() error {
	f, err := os.OpenFile(b.file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(allocate(f, b.size), f.Close())
}

// Last returns nil while there is more than the last part of the reserve, and an error that
// is syscall.ENOSPC otherwise: only what makes room, and what ends, may take from that.
func (r *Reserve) Last() error {
	if r == nil {
		return nil
	}
	free, err := r.free(r.dir)
	if err != nil {
		return fmt.Errorf("looking at the disk: %w", err)
	}
	if free < r.ballast.size {
		return fmt.Errorf("%d bytes are free at %s, which are for deletions: %w", free, r.dir, syscall.ENOSPC)
	}
	return nil
}

// Spend makes room for a small write that must not fail for want of it, as far as there is
// something to give: a change in the database, the end of a run.
func (r *Reserve) Spend() { r.spend(enough) }

// SpendAll makes room for a write for which Spend's was too little.
func (r *Reserve) SpendAll() { r.spend(mostBallast) }

func (r *Reserve) spend(need int64) {
	if r == nil {
		return
	}
	free, err := r.free(r.dir)
	if err != nil || free >= need {
		return // if it cannot be known, the write itself tells
	}
	given, err := r.ballast.give(need - free)
	switch {
	case err != nil:
		r.log.Error("the disk is full, and what is kept for deletions cannot be had", "err", err)
	case given > 0:
		r.log.Warn("the disk is full: of what is kept for deletions some was given up", "bytes", given, "left", r.ballast.held())
	}
}

// Refill takes again what was given up, once there is more room than the reserve.
func (r *Reserve) Refill() error {
	if r == nil {
		return nil
	}
	missing := r.ballast.size - r.ballast.held()
	free, err := r.free(r.dir)
	if err != nil || missing <= 0 || free < r.bytes+missing {
		return err
	}
	if err := r.ballast.take(); err != nil {
		return fmt.Errorf("keeping a part of the disk for deletions: %w", err)
	}
	return nil
}

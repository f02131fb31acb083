//go:build linux && cgo

package embedded

import (
	"context"
	"errors"
	"runtime/debug"
	"time"
)

const (
	// quietTime is how long no run must have ended before the executor tidies up: not
	// between the runs of somebody who waits for them.
	quietTime = 2 * time.Second
	// busyTime is how long tidying up is put off where runs always end.
	busyTime = time.Minute
)

// Tidy gives back what runs that have ended leave on the disk: contexts of builds, images that
// only they had, with what their configurations tell of arguments, and what the build cache has
// too much. An executor does it by itself when runs end no more; one that is closed before
// leaves it to its caller.
func (e *Executor) Tidy(ctx context.Context) error {
	return errors.Join(e.builder.Collect(ctx), e.store.Collect(ctx))
}

// tidy waits for the ends of runs and then gives back what they leave, and memory.
func (e *Executor) tidy(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.ended:
		}
		if !e.waitForQuiet(ctx) {
			return
		}
		if err := e.Tidy(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("what runs have left could not be removed", "error", err)
		}
		e.registries.Close() // connections that nobody uses; there will be others
		// BuildKit and large transfers let the heap grow; the runtime would keep most of it.
		debug.FreeOSMemory()
	}
}

// waitForQuiet returns true once no run has ended for a while, and false if ctx ends.
func (e *Executor) waitForQuiet(ctx context.Context) bool {
	latest := time.NewTimer(busyTime)
	defer latest.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-latest.C:
			return true
		case <-time.After(quietTime):
			return true
		case <-e.ended:
		}
	}
}

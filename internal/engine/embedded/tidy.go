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

// tidy waits for the ends of runs and then gives back what they leave: contexts of
// builds, images that only they had, with what their configurations tell of arguments, and memory.
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
		if err := errors.Join(e.builder.Collect(ctx), e.store.Collect(ctx)); err != nil && ctx.Err() == nil {
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

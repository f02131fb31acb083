//go:build linux && cgo

package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/continuity/fs"
	"github.com/docker/go-units"

	"github.com/acrux/acrux/internal/disk"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/runimages"
)

// diskInterval is how often the executor looks how much of its disk is free.
const diskInterval = time.Second

// watchDisk ends the run that takes most of the disk whenever less than half of the reserve
// is free: the other half is what begins between two looks. What the run made goes with it.
func (e *Executor) watchDisk(ctx context.Context, reserve int64) {
	ticker := time.NewTicker(diskInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		free, err := disk.Free(e.root)
		if err != nil {
			e.log.Error("how much of the disk is free cannot be found out", "error", err)
			continue
		}
		if free < reserve/2 {
			e.endLargest(ctx, free, reserve/8)
		}
	}
}

// endLargest ends the run that takes most, unless one that was ended is still being removed.
// Runs that take less than least are not what fills the disk.
func (e *Executor) endLargest(ctx context.Context, free, least int64) {
	var largest *Scope
	var most int64
	e.mu.Lock()
	scopes := make([]*Scope, 0, len(e.scopes))
	for _, s := range e.scopes {
		scopes = append(scopes, s)
	}
	e.mu.Unlock()
	for _, s := range scopes {
		if s.life.Err() != nil {
			return
		}
		if bytes := s.diskUsage(ctx); bytes > most {
			largest, most = s, bytes
		}
	}
	if most < least {
		return
	}
	e.log.Warn("a run was ended: the disk is nearly full, and it takes the most of it", "run", largest.spec.ID, "bytes", most, "free", free)
	largest.end(engine.Failure(fmt.Sprintf(
		"the disk of the agent is nearly full, and this run takes the most of it: it was ended with %s in its workspace, containers and builds", units.BytesSize(float64(most)))))
}

// diskUsage is how much of the disk the run takes, apart from images that others may have as
// well. What goes away meanwhile takes nothing.
func (s *Scope) diskUsage(ctx context.Context) (bytes int64) {
	dirs := []string{s.dir}
	for _, dir := range []string{s.spec.Workspace, s.spec.Home} {
		if dir != "" {
			dirs = append(dirs, dir)
		}
	}
	s.mu.Lock()
	for _, x := range s.boxes {
		if n, err := s.images.Usage(ctx, x.id); err == nil {
			bytes += n
		}
	}
	s.mu.Unlock()
	if s.building.Load() > 0 {
		dirs = append(dirs, s.executor.builds.layers(runimages.CacheScope(s.spec))...)
	}
	for _, dir := range dirs {
		if usage, err := fs.DiskUsage(ctx, dir); err == nil {
			bytes += usage.Size
		}
	}
	return bytes
}

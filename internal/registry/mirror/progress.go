package mirror

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// progress counts blobs and bytes, for people who wait.
type progress struct {
	mu          sync.Mutex
	blobs, done int
	total, size int64 // bytes of all, and those that came
	shown       time.Time
}

func (p *progress) String() string {
	return fmt.Sprintf("%d of %d blobs, %.1f of %.1f MB", p.done, p.blobs, float64(p.size)/1e6, float64(p.total)/1e6)
}

// showEvery is how often progress is written down.
const showEvery = 500 * time.Millisecond

// begin adds blobs that are to come, and writes that down.
func (f *fetcher) begin(ctx context.Context, all []v1.Descriptor) error {
	f.progress.mu.Lock()
	defer f.progress.mu.Unlock()
	f.progress.blobs += len(all)
	for _, d := range all {
		f.progress.total += d.Size
	}
	return f.show(ctx, time.Now())
}

// advance adds what came, and writes it down now and then.
func (f *fetcher) advance(ctx context.Context, bytes int64, blobs int) error {
	f.progress.mu.Lock()
	defer f.progress.mu.Unlock()
	f.progress.size += bytes
	f.progress.done += blobs
	if now := time.Now(); now.Sub(f.progress.shown) > showEvery {
		return f.show(ctx, now)
	}
	return nil
}

func (f *fetcher) show(ctx context.Context, now time.Time) error {
	f.progress.shown = now
	f.op.Progress, f.op.Updated = f.progress.String(), now
	return f.Store.SetOperation(ctx, f.op)
}

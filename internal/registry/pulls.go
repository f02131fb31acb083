package registry

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Pulls are pulls of one manifest, by one tag or by digest.
type Pulls struct {
	Name   Name
	Digest digest.Digest
	Tag    string
	Times  int64
	Last   time.Time
}

// PullCounter counts pulls. A write for each would cost more than the pull, so they are
// gathered and written together: a kill loses those of the last moment, and the count is
// never too high. It is a background duty, and safe for concurrent use.
type PullCounter struct {
	Content *Content
	Failed  func(error)

	mu    sync.Mutex
	pulls map[pulled]*Pulls
}

type pulled struct {
	name   Name
	digest digest.Digest
	tag    string
}

const (
	countEvery = 2 * time.Second
	maxCounted = 10_000 // different manifests that wait; more are not counted
)

// Count counts a pull.
func (p *PullCounter) Count(name Name, d digest.Digest, tag string, now time.Time) {
	key := pulled{name, d, tag}
	p.mu.Lock()
	defer p.mu.Unlock()
	counted, ok := p.pulls[key]
	switch {
	case ok:
		counted.Times++
		counted.Last = now
	case len(p.pulls) < maxCounted:
		if p.pulls == nil {
			p.pulls = map[pulled]*Pulls{}
		}
		p.pulls[key] = &Pulls{Name: name, Digest: d, Tag: tag, Times: 1, Last: now}
	}
}

// Run writes until ctx ends, and once more.
func (p *PullCounter) Run(ctx context.Context) error {
	ticker := time.NewTicker(countEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return p.Flush(context.WithoutCancel(ctx))
		case <-ticker.C:
		}
		if err := p.Flush(ctx); err != nil && ctx.Err() == nil {
			p.Failed(err)
		}
	}
}

// flushBatch is how many manifests' pulls one transaction writes: others wait for it.
const flushBatch = 100

// Flush writes what was counted, each with its event.
func (p *PullCounter) Flush(ctx context.Context) error {
	p.mu.Lock()
	pulls := p.pulls
	p.pulls = nil
	p.mu.Unlock()
	var batch []Pulls
	for _, counted := range pulls {
		if batch = append(batch, *counted); len(batch) == flushBatch {
			if err := p.write(ctx, batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	return p.write(ctx, batch)
}

func (p *PullCounter) write(ctx context.Context, batch []Pulls) error {
	if len(batch) == 0 {
		return nil
	}
	return p.Content.Store.InTx(ctx, func(ctx context.Context) error {
		for _, counted := range batch {
			err := p.Content.Store.AddPulls(ctx, counted)
			if errors.Is(err, ErrNoRepository) {
				continue // deleted meanwhile
			}
			if err == nil {
				err = p.Content.Store.AddEvent(ctx, Event{Name: counted.Name, Action: Pulled, Tag: counted.Tag, Digest: counted.Digest, Time: counted.Last, Times: counted.Times})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

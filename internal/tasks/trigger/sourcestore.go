package trigger

import (
	"context"
	"time"

	"github.com/acrux/acrux/internal/arm"
)

// Source is a source trigger of a task, as its hook knows it.
type Source struct {
	ID   string // in the hook's address; nobody guesses it
	Task arm.ID
	Name string // of the trigger
}

// SourceStore keeps which source triggers there are, and what was delivered to them. Its methods
// take part in ctx's transaction. All of a task goes with the task.
type SourceStore interface {
	// PutSources writes a task's source triggers in place of those before; one whose name was
	// there keeps its ID.
	PutSources(ctx context.Context, id arm.ID, sources []Source) error
	// Source finds one by its ID, or returns resource.ErrNotFound.
	Source(ctx context.Context, id string) (Source, error)
	// Sources lists those of a task, by name.
	Sources(ctx context.Context, id arm.ID) ([]Source, error)
	// TakeDelivery notes a delivery. If one of that digest was taken already, it returns what
	// its host called it.
	TakeDelivery(ctx context.Context, source, digest, delivery string, now time.Time) (before string, err error)
	// PruneDeliveries forgets up to n deliveries from before a time.
	PruneDeliveries(ctx context.Context, before time.Time, n int) (int64, error)
}

package registry

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// Event is something that happened in a registry. It is written in the transaction of
// the change: there is neither a change without its event nor the other way round.
type Event struct {
	ID     int64 // filled in by Outbox.Events; grows
	Name   Name
	Action Action
	Tag    string
	Digest digest.Digest
	Actor  string
	Time   time.Time
	Times  int64 // how many pulls; 1 for everything else
}

// Action is what an event tells of.
type Action string

// The actions. A tag that moves is a push; deleting a manifest deletes its tags.
const (
	Pushed   Action = "push"
	Deleted  Action = "delete"
	Restored Action = "restore"
	Pulled   Action = "pull"
)

// Outbox is read by whoever acts on events: webhooks, triggers. A reader has a name and
// a place in the stream, which is kept. It asks for events, does its work, and says in
// the transaction of that work how far it came: so each event counts for each reader
// once, whatever is killed when. Events come in the order of their commits. A new reader
// begins with the oldest event that is still there.
type Outbox interface {
	// Events returns up to n events that the reader has not done.
	Events(ctx context.Context, reader string, n int) ([]Event, error)
	// Done says that the reader is done with all events up to id. It takes part in
	// ctx's transaction.
	Done(ctx context.Context, reader string, id int64) error
	// PruneEvents removes up to n events from before a time that every reader has done.
	PruneEvents(ctx context.Context, before time.Time, n int) (int64, error)
}

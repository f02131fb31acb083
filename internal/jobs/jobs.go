// Package jobs says what durable background work is, for those who ask for it and those
// who do it. A job is enqueued in the transaction of the change that needs it, so there is
// either both or neither, and it is worked on until it is done, whatever happens to the
// process meanwhile. Runs of tasks are no jobs: agents have no database.
//
// store/sqlstore has the queue.
package jobs

import (
	"context"
	"time"
)

// Queue takes jobs. It is safe for concurrent use.
type Queue interface {
	// Enqueue asks for a job of a kind in ctx's transaction, or in one of its own. While
	// one for the same subject waits or is worked on, there is no second: a subject is a
	// piece of work, such as an operation, and not a thing that changes meanwhile.
	Enqueue(ctx context.Context, kind, subject string) error
}

// Job is an attempt at what was enqueued.
type Job struct {
	// Subject is what the job is about, an ID. What else is needed is kept under it: a
	// job has no secrets.
	Subject string
	// Last says that an error now is the end of it.
	Last bool
}

// Kind is a kind of jobs and how they are done.
type Kind struct {
	Name string // letters, digits and hyphens
	// Work does a job, maybe one that was half done before. An attempt that is cut off,
	// because its time is over or the server ends, is followed by another one and
	// counts for nothing, whatever Work returns when ctx has ended. Any other error is
	// logged and followed by another attempt, later and later.
	Work     func(ctx context.Context, j Job) error
	AtOnce   int           // how many a server works on at the same time
	Attempts int           // that may fail; the last of them is told so
	Timeout  time.Duration // of an attempt
}

// Periodic is work that is done once in every period, by one of the servers. A server that
// starts in a period in which it was not done yet begins with it.
type Periodic struct {
	Name  string // as of a Kind, and none of theirs
	Every time.Duration
	// Work does it. An error is logged and followed by a few more attempts.
	Work func(ctx context.Context, now time.Time) error
}

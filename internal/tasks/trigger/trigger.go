// Package trigger makes runs of tasks without anybody asking for them: when a timer is due,
// when an image that a task was built on has other content (in a registry of this installation
// at once, in others when these are asked next), and when a git host tells of a push or a pull
// request. What it saw, and what came of it, is kept for each task.
//
// A run and the entry that says why are one transaction, and an entry is unique by its cause
// (the planned minute of a timer, the event of a push, a delivery): whatever is killed when, and
// however many servers look, a cause makes one run.
//
//	task ──Plan──▶ timers, bases, polls, sources ──due, pushed, moved, delivered──▶ run.Schedule and Record
package trigger

import (
	"context"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/task"
)

// Timer is a timer of a task, and when it is due: the zero time of one that was not planned
// yet.
type Timer struct {
	Task     arm.ID
	Name     string
	Schedule string
	Due      time.Time
}

// Base is an image that a task was built on by its last good run, or for which it was
// started since.
type Base struct {
	Task  arm.ID
	Image string // HOST/REPOSITORY:TAG, as ImageOf makes it
	Kind  string // RunTime, BuildTime
	// Digest is what the task was built on, or started for.
	Digest string
}

// Poll is an image elsewhere, and when its registry is asked next what it means.
type Poll struct {
	Image    string // as Base has it
	Due      time.Time
	Failures int // in a row
}

// ImageOf names a base image so that it is found by a push.
func ImageOf(host, repository, tag string) string {
	return strings.ToLower(host) + "/" + repository + ":" + tag
}

// Entry says what a trigger saw and what came of it.
type Entry struct {
	ID      int64 // filled in by Store; grows
	Task    arm.ID
	Kind    Kind
	Trigger string    // its name
	Object  string    // the planned minute; image and digests; delivery, branch and commit
	Time    time.Time // when it was seen last
	Run     string    // the run's ID; empty if there is none
	Reason  string    // why not
	Times   int       // how often the same was seen, without a run
	// Cause is what an entry is unique by, for its task and trigger.
	Cause string
}

// Kind is what kind a trigger is of.
type Kind string

// The kinds.
const (
	ByTimer  Kind = "Timer"
	ByImage  Kind = "BaseImage"
	BySource Kind = "Source"
)

// Store keeps what is planned and what was seen. Its methods take part in ctx's transaction.
// All of a task goes with the task.
type Store interface {
	resource.Transactor
	SourceStore
	// PutTimers writes a task's timers in place of those before; one whose schedule is the same
	// keeps its due time.
	PutTimers(ctx context.Context, id arm.ID, timers []Timer) error
	// DueTimers lists timers that are due at a time, up to n.
	DueTimers(ctx context.Context, at time.Time, n int) ([]Timer, error)
	// MoveTimer gives a timer its next due time, or ends it if that is zero; false if it is not
	// as it was seen any more.
	MoveTimer(ctx context.Context, t Timer, due time.Time) (bool, error)
	// NextDue returns when timers of a task are due, by their names in lower case.
	NextDue(ctx context.Context, id arm.ID) (map[string]time.Time, error)
	// PutBases writes what a task was built on in place of what was before, and returns those
	// that are new to it. One with the digest that it had is left as it is.
	PutBases(ctx context.Context, id arm.ID, bases []Base) (fresh []Base, err error)
	// BuiltOn lists the bases that are one of the images and have another digest; all of those
	// images if digest is empty.
	BuiltOn(ctx context.Context, images []string, digest string) ([]Base, error)
	// MoveBase notes that a task was started for a digest; false if its base is not as it was
	// seen any more.
	MoveBase(ctx context.Context, b Base, digest string) (bool, error)
	// PutPolls writes the polls of images that have none.
	PutPolls(ctx context.Context, polls []Poll) error
	// DuePolls lists polls that are due at a time, up to n.
	DuePolls(ctx context.Context, at time.Time, n int) ([]Poll, error)
	// PollsOf lists the polls of the images that tasks are built on, those due first in front.
	PollsOf(ctx context.Context, tasks []arm.ID) ([]Poll, error)
	// MovePoll gives a poll its next due time; false if it is not due as it was seen any more.
	MovePoll(ctx context.Context, p Poll, due time.Time, failures int) (bool, error)
	// HoldPolls lets no image of a host be due before a time.
	HoldPolls(ctx context.Context, host string, until time.Time) error
	// EndPoll removes a poll that is still as it was seen.
	EndPoll(ctx context.Context, p Poll) error
	// Record writes an entry; false if there is one of the same cause, which counts once more
	// if it made no run.
	Record(ctx context.Context, e Entry) (fresh bool, err error)
	// Entries lists those of a task, the newest first: up to n, with IDs below before, if that
	// is not zero.
	Entries(ctx context.Context, id arm.ID, before int64, n int) ([]Entry, error)
	// PruneEntries removes up to n entries from before a time.
	PruneEntries(ctx context.Context, before time.Time, n int) (int64, error)
}

// Keep is how long entries are kept.
const Keep = 30 * 24 * time.Hour

// enabled reports whether a task and one of its triggers are, and why not.
func enabled(t task.Task, status string) (bool, string) {
	switch {
	case t.Properties.Status == "Disabled":
		return false, "the task is disabled"
	case status == "Disabled":
		return false, "the trigger is disabled"
	}
	return true, ""
}

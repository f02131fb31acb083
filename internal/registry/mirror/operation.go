package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/jobs"
)

// Status is the state of an operation.
type Status string

// The states; the last two are final.
const (
	InProgress Status = "InProgress"
	Succeeded  Status = "Succeeded"
	Failed     Status = "Failed"
)

// Operation is an import that takes its time.
type Operation struct {
	ID       string
	Registry arm.ID // that imports
	Request  []byte // sealed; nil once it is over
	Status   Status
	Progress string // for people
	Code     string // of the error
	Message  string
	Created  time.Time
	Updated  time.Time
}

// ErrNoOperation says that there is no such operation.
var ErrNoOperation = errors.New("no such operation")

// Store keeps operations.
type Store interface {
	Operation(ctx context.Context, id string) (Operation, error)
	// OpenOperations lists those in progress, oldest first.
	OpenOperations(ctx context.Context) ([]Operation, error)
	// PutOperation writes a new one, SetOperation one that is there, or ErrNoOperation.
	PutOperation(ctx context.Context, op Operation) error
	SetOperation(ctx context.Context, op Operation) error
}

// Operation returns an operation.
func (m *Imports) Operation(ctx context.Context, id string) (Operation, error) {
	op, err := m.Store.Operation(ctx, id)
	if errors.Is(err, ErrNoOperation) {
		err = problem.New(problem.NotFound, "OperationNotFound", "The operation '%s' was not found.", id).Because(err)
	}
	return op, err
}

// Body is the operation as clients poll it.
func (op Operation) Body() map[string]any {
	body := map[string]any{"id": op.ID, "name": op.ID, "status": op.Status, "startTime": arm.Time(op.Created), "properties": map[string]any{"progress": op.Progress}}
	if op.Status != InProgress {
		body["endTime"] = arm.Time(op.Updated)
	}
	if op.Status == Failed {
		body["error"] = map[string]any{"code": op.Code, "message": op.Message}
	}
	return body
}

// Problem is the error of a failed operation.
func (op Operation) Problem() error { return problem.New(problem.Invalid, op.Code, "%s", op.Message) }

// job is the kind of the jobs that fetch images; their subjects are operations.
const job = "import"

// Jobs says how imports are worked on.
func (m *Imports) Jobs() jobs.Kind {
	return jobs.Kind{Name: job, Work: m.Work, AtOnce: 4, Attempts: 3, Timeout: maxImport + time.Minute}
}

// Resume asks for the jobs of all operations in progress, should one have none.
func (m *Imports) Resume(ctx context.Context) error {
	open, err := m.Store.OpenOperations(ctx)
	for _, op := range open {
		err = errors.Join(err, m.Queue.Enqueue(ctx, job, op.ID))
	}
	return err
}

// Work does one import and records how it went. What a source does wrong was tried again
// while it was fetched, and is final; what goes wrong here is an error, to be tried again
// until the last time.
func (m *Imports) Work(ctx context.Context, j jobs.Job) error {
	op, err := m.Store.Operation(ctx, j.Subject)
	switch {
	case errors.Is(err, ErrNoOperation): // it went with its registry
		return nil
	case err != nil || op.Status != InProgress:
		return err
	}
	failed := m.fetch(ctx, op)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(failed, ErrNoOperation) { // it went meanwhile
		return nil
	}
	ours := failed != nil && problem.From(failed).Kind.Ours()
	away := problem.Is(failed, problem.Away) && time.Since(op.Created) < maxImport
	if ours && !j.Last || away { // a store of ours may take longer to come back than there are attempts
		return failed
	}
	if err := m.Store.SetOperation(ctx, op.ended(failed, time.Now())); errors.Is(err, ErrNoOperation) {
		return nil
	} else if err != nil {
		return errors.Join(failed, fmt.Errorf("recording the end of an import: %w", err))
	}
	if ours {
		return failed // to be logged
	}
	return nil
}

// ended is the operation when its import is over, with or without an error.
func (op Operation) ended(failed error, now time.Time) Operation {
	op.Request, op.Status, op.Progress, op.Updated = nil, Succeeded, "", now
	if failed == nil {
		return op
	}
	p := problem.From(failed)
	op.Status, op.Code, op.Message = Failed, p.Code, p.Text()
	if p.Kind == problem.Internal {
		op.Message = fmt.Sprintf("Something went wrong on the server; its log has more under operation %s.", op.ID)
	}
	return op
}

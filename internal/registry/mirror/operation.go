package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
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
	PutOperation(ctx context.Context, op Operation) error
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

// atOnce is how many imports run at the same time.
const atOnce = 4

// Worker works on imports until its context ends; what is unfinished then, or after
// a crash, is taken up by the next one. It is a background duty.
type Worker struct {
	Imports *Imports
	Log     *slog.Logger
}

// Run works.
func (w *Worker) Run(ctx context.Context) error {
	for {
		ops, err := w.Imports.Store.OpenOperations(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("reading the open operations", "err", err)
		}
		w.workOn(ctx, ops)
		select {
		case <-ctx.Done():
			return nil
		case <-w.Imports.wake:
		case <-time.After(time.Minute):
		}
	}
}

func (w *Worker) workOn(ctx context.Context, ops []Operation) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, op := range ops {
		group.Go(func() error {
			w.one(ctx, op)
			return nil
		})
	}
	_ = group.Wait() // the functions return none
}

// one does one import and records how it went. A shut-down leaves it in progress.
func (w *Worker) one(ctx context.Context, op Operation) {
	err := w.Imports.fetch(ctx, op)
	if ctx.Err() != nil {
		return
	}
	op.Request, op.Status, op.Progress, op.Updated = nil, Succeeded, "", time.Now()
	if err != nil {
		p := problem.From(err)
		op.Status, op.Code, op.Message = Failed, p.Code, p.Text()
		if p.Kind.Ours() {
			w.Log.Error("import failed", "operation", op.ID, "registry", op.Registry, "err", err)
		}
		if p.Kind == problem.Internal {
			op.Message = fmt.Sprintf("Something went wrong on the server; its log has more under operation %s.", op.ID)
		}
	}
	if err := w.Imports.Store.PutOperation(ctx, op); err != nil {
		w.Log.Error("recording the end of an import", "operation", op.ID, "err", err)
	}
}

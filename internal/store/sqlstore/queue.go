package sqlstore

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/jobs"
)

// Queue implements jobs.Queue on River, which keeps its tables beside ours, and is the
// duty that works on the jobs. What is done is said by Handle and Repeat before Run.
type Queue struct {
	db       *DB
	server   string
	log      *slog.Logger
	enqueuer riverClient
	pause    time.Duration // awayPause, but for tests
	kinds    map[string]jobs.Kind
	periodic []jobs.Periodic
	stopping atomic.Bool
}

var _ jobs.Queue = (*Queue)(nil)

// riverClient is a client of River's on one of the databases.
type riverClient interface {
	Start(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	insert(ctx context.Context, tx transaction, args river.JobArgs, opts *river.InsertOpts) error
}

type postgresRiver struct{ *river.Client[pgx.Tx] }

func (c postgresRiver) insert(ctx context.Context, tx transaction, args river.JobArgs, opts *river.InsertOpts) error {
	in := tx.(*postgresTx)
	if err := in.begun(ctx); err != nil {
		return err
	}
	_, err := c.InsertTx(ctx, in.tx, args, opts)
	return err
}

func migrateRiver[Tx any](ctx context.Context, driver riverdriver.Driver[Tx]) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// NewQueue returns the queue of a database. server names the server among those of the
// database: one process at a time has the name.
func NewQueue(db *DB, server string, log *slog.Logger) (*Queue, error) {
	q := &Queue{db: db, server: server, log: log, pause: awayPause, kinds: map[string]jobs.Kind{}}
	var err error
	q.enqueuer, err = db.backend.river(&river.Config{Logger: slog.New(slog.DiscardHandler)})
	return q, err
}

// Handle says how jobs of a kind are done.
func (q *Queue) Handle(kind jobs.Kind) { q.kinds[kind.Name] = kind }

// Repeat says what is done now and then.
func (q *Queue) Repeat(work jobs.Periodic) { q.periodic = append(q.periodic, work) }

// unfinished are the states in which a job is not asked for again.
var unfinished = []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled}

// Enqueue implements jobs.Queue.
func (q *Queue) Enqueue(ctx context.Context, kind, subject string) error {
	k, known := q.kinds[kind]
	if !known {
		return fmt.Errorf("there are no jobs of the kind %q", kind)
	}
	return q.db.InTx(ctx, func(ctx context.Context) error {
		err := q.enqueuer.insert(ctx, unitOf(ctx).transaction, arguments{kind: kind, Subject: subject},
			&river.InsertOpts{Queue: kind, MaxAttempts: k.Attempts, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished}})
		if err != nil {
			return fmt.Errorf("enqueuing %s for %s: %w", kind, subject, err)
		}
		return nil
	})
}

// arguments are what River keeps of a job.
type arguments struct {
	kind    string
	Subject string `json:"subject,omitempty"`
}

// Kind implements river.JobArgs.
func (a arguments) Kind() string { return a.kind }

const (
	// stopTime is how long work under way may take to notice that the server ends.
	stopTime = 10 * time.Second
	// periodicTime is how long an attempt at periodic work may take, and periodicAttempts
	// is how many there are.
	periodicTime     = time.Hour
	periodicAttempts = 3
	// lookEvery is how often River looks for jobs that it was not told of.
	lookEvery = 2 * time.Second
	// keepDone is how long jobs that are done are kept at least, to be looked at.
	keepDone = 24 * time.Hour
)

// Run works on jobs until ctx ends. It is a background duty.
func (q *Queue) Run(ctx context.Context) error {
	client := q.started(ctx)
	if client == nil {
		return nil
	}
	<-ctx.Done()
	q.stopping.Store(true)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := client.StopAndCancel(stop); err != nil {
		return fmt.Errorf("jobs did not end in time: %w", err)
	}
	return nil
}

// started starts the client that works, and tries again, later and later, while that fails:
// starting writes, and a server on a full disk can still be asked for what it has. It is nil
// once ctx has ended.
func (q *Queue) started(ctx context.Context) riverClient {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		client, err := q.start(ctx)
		if err == nil {
			return client
		}
		if ctx.Err() == nil {
			q.log.Error("background work cannot begin; it is tried again", "err", err, "in", pause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (q *Queue) start(ctx context.Context) (riverClient, error) {
	// What this server had under way when it was killed waits for nobody.
	if err := q.db.backend.release(ctx, q.server); err != nil {
		return nil, fmt.Errorf("taking up jobs again: %w", err)
	}
	client, err := q.db.backend.river(q.config())
	if err != nil {
		return nil, fmt.Errorf("the job queue: %w", err)
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("starting the job queue: %w", err)
	}
	return client, nil
}

// config is that of the client that works. Jobs of a server that is gone for good are
// taken up by others when their time and a minute are over.
func (q *Queue) config() *river.Config {
	c := &river.Config{ID: q.server, Logger: slog.New(&warnings{Handler: q.log.Handler(), stopping: &q.stopping}), ErrorHandler: &failures{q.log}, RetryPolicy: retries{},
		Workers: river.NewWorkers(), Queues: map[string]river.QueueConfig{}, JobTimeout: periodicTime, FetchPollInterval: lookEvery, CompletedJobRetentionPeriod: keepDone}
	longest := periodicTime
	for _, k := range q.kinds {
		c.Queues[k.Name] = river.QueueConfig{MaxWorkers: k.AtOnce}
		river.AddWorkerArgs(c.Workers, arguments{kind: k.Name}, &worker{kind: k, queue: q})
		longest = max(longest, k.Timeout)
	}
	for _, p := range q.periodic {
		c.Queues["periodic"] = river.QueueConfig{MaxWorkers: 2}
		kind := jobs.Kind{Name: p.Name, Timeout: periodicTime, Work: func(ctx context.Context, _ jobs.Job) error { return p.Work(ctx, time.Now()) }}
		river.AddWorkerArgs(c.Workers, arguments{kind: p.Name}, &worker{kind: kind, queue: q})
		c.PeriodicJobs = append(c.PeriodicJobs, river.NewPeriodicJob(river.PeriodicInterval(p.Every), func() (river.JobArgs, *river.InsertOpts) {
			return arguments{kind: p.Name}, &river.InsertOpts{Queue: "periodic", MaxAttempts: periodicAttempts, UniqueOpts: river.UniqueOpts{ByPeriod: p.Every}}
		}, &river.PeriodicJobOpts{ID: p.Name, RunOnStart: true}))
		// Having been done in a period is known from the job.
		c.CompletedJobRetentionPeriod = max(c.CompletedJobRetentionPeriod, 2*p.Every)
	}
	c.RescueStuckJobsAfter = longest + time.Minute
	return c
}

// worker does jobs of a kind.
type worker struct {
	river.WorkerDefaults[arguments]
	kind  jobs.Kind
	queue *Queue
}

// Timeout implements river.Worker.
func (w *worker) Timeout(*river.Job[arguments]) time.Duration { return w.kind.Timeout }

// awayPause is how long a job waits for a store that is away. That is no attempt of it.
const awayPause = 10 * time.Second

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, job *river.Job[arguments]) error {
	err := w.kind.Work(ctx, jobs.Job{Subject: job.Args.Subject, Last: job.Attempt >= job.MaxAttempts})
	switch {
	case err != nil && ctx.Err() != nil:
		return river.JobSnooze(0)
	case problem.Is(err, problem.Away):
		w.queue.log.Warn("background work waits", "kind", job.Kind, "args", string(job.EncodedArgs), "err", err)
		return river.JobSnooze(w.queue.pause)
	}
	return err
}

// retries wait 1, 4, 9, … seconds.
type retries struct{}

// NextRetry implements river.ClientRetryPolicy.
func (retries) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(time.Duration(job.Attempt*job.Attempt) * time.Second)
}

// failures logs errors of jobs.
type failures struct{ log *slog.Logger }

// HandleError implements river.ErrorHandler.
func (f *failures) HandleError(_ context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	level := slog.LevelWarn
	if job.Attempt >= job.MaxAttempts {
		level = slog.LevelError
	}
	f.log.Log(context.Background(), level, "background work failed", "kind", job.Kind, "args", string(job.EncodedArgs), "attempt", job.Attempt, "of", job.MaxAttempts, "err", err)
	return nil
}

// HandlePanic implements river.ErrorHandler.
func (f *failures) HandlePanic(_ context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	f.log.Error("panic in background work", "kind", job.Kind, "args", string(job.EncodedArgs), "panic", value, "trace", trace)
	return nil
}

// warnings passes on what River has to say if it is a warning at least.
type warnings struct {
	slog.Handler
	stopping *atomic.Bool
}

// Enabled implements slog.Handler.
func (w *warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler. It is nobody's fault that what was going on is canceled
// because the server stops, or because another server has taken over what only one does:
// that is also what a server finds that was frozen for some seconds. What took too long then,
// or because the database is slow, is a warning: River does it again.
func (w *warnings) Handle(ctx context.Context, r slog.Record) error {
	if says(r, context.Canceled) && (w.stopping.Load() || ctx.Err() != nil) {
		return nil
	}
	if says(r, context.DeadlineExceeded) {
		r.Level = min(r.Level, slog.LevelWarn)
	}
	return w.Handler.Handle(ctx, r)
}

// says reports whether an attribute tells of an error, for which River has words only.
func says(r slog.Record, err error) (found bool) {
	r.Attrs(func(a slog.Attr) bool {
		found = strings.Contains(a.Value.String(), err.Error())
		return !found
	})
	return found
}

// WithAttrs implements slog.Handler.
func (w *warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &warnings{w.Handler.WithAttrs(attrs), w.stopping}
}

// WithGroup implements slog.Handler.
func (w *warnings) WithGroup(name string) slog.Handler {
	return &warnings{w.Handler.WithGroup(name), w.stopping}
}

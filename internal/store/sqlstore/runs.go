package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/runlog"
)

// Runs implements run.Store.
type Runs struct{ *DB }

var _ run.Store = Runs{}

// NextNumber implements run.Store.
func (s Runs) NextNumber(ctx context.Context, registry arm.ID, prefix func() string) (string, int64, error) {
	var text string
	var n int64
	err := s.queryRow(ctx, `INSERT INTO run_counters (registry, prefix, last) VALUES ($1, $2, 1)
		ON CONFLICT (registry) DO UPDATE SET last = run_counters.last + 1 RETURNING prefix, last`, registry.Key(), prefix()).Scan(&text, &n)
	return text, n, err
}

// stored is what of a run is one JSON text: what no query asks for.
type stored struct {
	Registry   string         `json:"registry"`
	Task       string         `json:"task,omitempty"`
	Properties run.Properties `json:"properties"`
	Timeout    time.Duration  `json:"timeout,omitempty"`
}

const (
	runColumns = `number, status, pool, os, arch, body, job, created, updated, started, finished, agent, fence, lease_until, cancel`
	selectRun  = `SELECT ` + runColumns + ` FROM runs `
)

func scanRun(r row) (out run.Row, err error) {
	var body string
	var created, updated, started, finished, leaseUntil int64
	err = r.Scan(&out.Number, &out.Status, &out.Pool, &out.OS, &out.Arch, &body, &out.Job, &created, &updated, &started, &finished,
		&out.Agent, &out.Fence, &leaseUntil, &out.Cancel)
	if err != nil {
		return out, instead(err, run.ErrNotFound)
	}
	out.Created, out.Updated, out.Started = fromMicros(created), fromMicros(updated), fromMicros(started)
	out.Finished, out.LeaseUntil = fromMicros(finished), fromMicros(leaseUntil)
	var b stored
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return out, err
	}
	out.Properties, out.Timeout = b.Properties, b.Timeout
	if out.Registry, err = arm.ParseID(b.Registry); err != nil {
		return out, err
	}
	out.Task, err = arm.ParseID(b.Task)
	return out, err
}

// Run implements run.Store.
func (s Runs) Run(ctx context.Context, registry arm.ID, runID string) (run.Row, error) {
	return scanRun(s.queryRow(ctx, selectRun+`WHERE registry = $1 AND run_id = $2`, registry.Key(), strings.ToLower(runID)))
}

// Runs implements run.Store. Each way to select has an index that ends with the number.
func (s Runs) Runs(ctx context.Context, registry arm.ID, f run.Filter) ([]run.Row, error) {
	status := run.ParseStatus(f.Status)
	if f.Status != "" && status == "" {
		return nil, nil
	}
	before := f.Before
	if before == 0 {
		before = math.MaxInt64
	}
	args := []any{before, limit(f.Top)}
	where := ``
	and := func(condition, value string) {
		args = append(args, value)
		where += fmt.Sprintf(` AND `+condition, len(args))
	}
	from, order := `runs WHERE number < $1`, `number`
	switch {
	case f.Output != "": // from the outputs to the runs; CROSS JOIN keeps that order
		args = append(args, registry.Key(), f.Output)
		order = `pushed`
		from = `(SELECT registry AS place, number AS pushed FROM run_outputs WHERE registry = $3 AND output = $4 AND number < $1) AS o
			CROSS JOIN runs WHERE registry = place AND number = pushed`
	case f.Task == "" || f.RunID != "": // a task's key says of which registry it is
		and(`registry = $%d`, registry.Key())
	}
	if f.Task != "" {
		and(`task = $%d`, registry.Child("tasks", f.Task).Key())
	}
	if f.RunID != "" {
		and(`run_id = $%d`, strings.ToLower(f.RunID))
	}
	if status != "" {
		and(`status = $%d`, string(status))
	}
	return collect(ctx, s.DB, scanRun, `SELECT `+runColumns+` FROM `+from+where+` ORDER BY `+order+` DESC LIMIT $2`, args...)
}

// NextQueued implements run.Store. The single writer is the lock.
func (s Runs) NextQueued(ctx context.Context, agent lease.Agent) (run.Row, error) {
	return scanRun(s.queryRow(ctx, selectRun+`WHERE status = 'Queued' AND pool = $1 AND os = $2 AND arch IN ($3, '') ORDER BY created, number LIMIT 1`,
		agent.Pool, agent.OS, agent.Arch))
}

// QueuedOf implements run.Store.
func (s Runs) QueuedOf(ctx context.Context, task arm.ID) ([]run.Row, error) {
	return collect(ctx, s.DB, scanRun, selectRun+`WHERE status = 'Queued' AND task = $1`, task.Key())
}

// QueuedIn implements run.Store.
func (s Runs) QueuedIn(ctx context.Context, registry arm.ID, pool string) ([]run.Row, error) {
	return collect(ctx, s.DB, scanRun, selectRun+`WHERE status = 'Queued' AND registry = $1 AND pool = $2`, registry.Key(), pool)
}

// Waiting implements run.Store.
func (s Runs) Waiting(ctx context.Context, before time.Time) ([]run.Row, error) {
	return collect(ctx, s.DB, scanRun, selectRun+`WHERE status = 'Queued' AND created < $1`, micros(before))
}

// Leased implements run.Store.
func (s Runs) Leased(ctx context.Context, before time.Time, agent string) ([]run.Row, error) {
	return collect(ctx, s.DB, scanRun, selectRun+`WHERE status IN ('Started', 'Running') AND (lease_until < $1 OR (agent = $2 AND $2 <> ''))`, micros(before), agent)
}

// PutRun implements run.Store.
func (s Runs) PutRun(ctx context.Context, r run.Row) error {
	b := stored{Registry: r.Registry.String(), Properties: r.Properties, Timeout: r.Timeout}
	task := ""
	if !r.Task.IsRoot() {
		b.Task, task = r.Task.String(), r.Task.Key()
	}
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, upsertRun,
			r.Registry.Key(), r.Number, strings.ToLower(r.Properties.RunID), task, r.Status, r.Pool, r.OS, r.Arch, string(body), r.Job,
			micros(r.Created), micros(r.Updated), micros(r.Started), micros(r.Finished), r.Agent, r.Fence, micros(r.LeaseUntil), bit(r.Cancel), bit(r.Properties.IsArchiveEnabled)); err != nil {
			return err
		}
		return s.putOutputs(ctx, r)
	})
}

const upsertRun = `INSERT INTO runs (registry, number, run_id, task, status, pool, os, arch, body, job, created, updated, started, finished, agent, fence, lease_until, cancel, archived)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (registry, number) DO UPDATE SET status = excluded.status, body = excluded.body, job = excluded.job, updated = excluded.updated,
			started = excluded.started, finished = excluded.finished, agent = excluded.agent, fence = excluded.fence,
			lease_until = excluded.lease_until, cancel = excluded.cancel, archived = excluded.archived`

// DeleteEnded implements run.Store.
func (s Runs) DeleteEnded(ctx context.Context, before time.Time, n int) (int64, error) {
	return s.exec(ctx, `DELETE FROM runs WHERE (registry, number) IN
		(SELECT registry, number FROM runs WHERE finished > 0 AND archived = 0 AND finished < $1 ORDER BY finished LIMIT $2)`, micros(before), n)
}

// Archived implements run.Store.
func (s Runs) Archived(ctx context.Context) ([]runlog.Key, error) {
	return collect(ctx, s.DB, func(r row) (key runlog.Key, err error) {
		var body string
		if err = r.Scan(&key.RunID, &body); err != nil {
			return key, err
		}
		var b stored
		err = json.Unmarshal([]byte(body), &b)
		key.Registry = b.Registry
		return key, err
	}, `SELECT run_id, body FROM runs WHERE archived = 1`)
}

// putOutputs makes the run one that is found by the images that it pushed.
func (s Runs) putOutputs(ctx context.Context, r run.Row) error {
	for _, output := range outputs(r) {
		if _, err := s.exec(ctx, insertOutput, r.Registry.Key(), output, r.Number); err != nil {
			return fmt.Errorf("writing the outputs of %s: %w", r.ID(), err)
		}
	}
	return nil
}

const insertOutput = `INSERT INTO run_outputs (registry, output, number) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`

// outputs are the images that a run pushed, as REPOSITORY@DIGEST.
func outputs(r run.Row) []string {
	var all []string
	for _, image := range r.Properties.OutputImages {
		if image.Digest != "" {
			all = append(all, image.Repository+"@"+image.Digest)
		}
	}
	return all
}

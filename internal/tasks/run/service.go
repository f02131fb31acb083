package run

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/disk"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/runlog"
	"github.com/acrux/acrux/internal/tasks/task"
	"github.com/acrux/acrux/internal/tasks/upload"
	"github.com/acrux/acrux/internal/wait"
)

// Service schedules runs and leases them to agents. Its fields are set once.
type Service struct {
	// Reserve is what is left of the disk when no more runs are taken. nil is nothing.
	Reserve    *disk.Reserve
	Store      Store
	Tasks      *task.Service
	Registries *registry.Registries
	Directory  *identity.Directory
	Issuer     *token.Issuer
	Sealer     *secret.Sealer
	Logs       *runlog.Logs
	Uploads    *upload.Uploads
	Pools      Pools
	// SourceURL makes a signed URL under which an agent can read an upload while it
	// executes the run.
	SourceURL func(path, runKey string, now time.Time) string

	bell   wait.Bell
	agents roster
}

// Pools knows the agent pools of registries.
type Pools interface {
	// Check returns a problem unless runs of the registry may be queued for the pool.
	Check(ctx context.Context, registry arm.ID, name string) error
}

// Schedule queues a run in a registry. In a transaction of the caller's, Wake must
// follow its end.
func (s *Service) Schedule(ctx context.Context, registryID arm.ID, req Request, now time.Time) (Run, error) {
	if err := s.Reserve.Room(); err != nil {
		return Run{}, err
	}
	reg, err := s.Registries.Get(ctx, registryID)
	if err != nil {
		return Run{}, err
	}
	p, err := s.plan(ctx, reg.ID, req)
	if err != nil {
		return Run{}, err
	}
	p.job.RegistryName, p.job.LoginServer = reg.ID.Name(), reg.Properties.LoginServer
	p.job.CreatedAt = now
	if p.job.Step.Build.Images, err = s.ownImages(reg, p); err != nil {
		return Run{}, err
	}
	if _, uploaded := upload.Registry(p.job.Step.Context); uploaded {
		if err := s.Uploads.Take(p.job.Step.Context, reg.ID.Name()); err != nil {
			return Run{}, fmt.Errorf("taking %s: %w", p.job.Step.Context, err)
		}
	}
	row := p.row
	err = s.Store.InTx(ctx, func(ctx context.Context) error {
		prefix, n, err := s.Store.NextNumber(ctx, reg.ID, newPrefix)
		if err != nil {
			return err
		}
		row.Registry, row.Number, row.Properties.RunID, row.Created, row.Updated = reg.ID, n, formatID(prefix, n), now, now
		p.job.RunID = row.Properties.RunID
		if row.Job, err = s.seal(row.ID(), p.job); err != nil {
			return err
		}
		return s.Store.PutRun(ctx, row)
	})
	if err != nil {
		return Run{}, err
	}
	if err := s.foretell(row, now); err != nil {
		return Run{}, err
	}
	s.bell.Ring()
	return s.show(row), nil
}

// foretell begins the log of a run with what it waits for, where that is sure to be long: who
// follows the log would see nothing.
func (s *Service) foretell(row Row, now time.Time) error {
	text := ""
	if why, sure := s.waiting(row, now); sure && !s.agents.has(row, now) {
		text = now.UTC().Format("2006/01/02 15:04:05 ") + why + "\r\n"
	}
	return s.Logs.Preface(runlog.Key{Registry: row.Registry.String(), RunID: row.Properties.RunID}, text)
}

// show is the run on the wire. One that waits says for what if it will wait for long.
func (s *Service) show(row Row) Run {
	res := row.Resource()
	if now := time.Now(); row.Status == Queued && !s.agents.has(row, now) {
		message, _ := s.waiting(row, now)
		res.Properties.RunErrorMessage = &message
	}
	return res
}

func (s *Service) seal(id arm.ID, job lease.Job) ([]byte, error) {
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(job); err != nil {
		return nil, fmt.Errorf("encoding the job of %s: %w", id, err)
	}
	return s.Sealer.Seal(buf.Bytes(), "job#"+id.Key()), nil
}

func (s *Service) unseal(row Row) (job lease.Job, err error) {
	text, err := s.Sealer.Open(row.Job, "job#"+row.ID().Key())
	if err != nil {
		return job, fmt.Errorf("the job of %s: %w", row.ID(), err)
	}
	return job, gob.NewDecoder(bytes.NewReader(text)).Decode(&job)
}

// identities lists those of a task that its run may speak for.
func (s *Service) identities(ctx context.Context, job *lease.Job, block *arm.Identity) error {
	if block == nil {
		return nil
	}
	var ids []identity.ObjectID
	if block.System != nil {
		ids = append(ids, identity.ObjectID(block.System.PrincipalID))
	}
	for _, id := range block.UserIDs() {
		ids = append(ids, identity.ObjectID(block.User[id].PrincipalID))
	}
	for i, id := range ids {
		p, err := s.Directory.Principal(ctx, id)
		if errors.Is(err, identity.ErrNotFound) {
			continue // deleted; the run says so when it needs it
		}
		if err != nil {
			return err
		}
		system := i == 0 && block.System != nil
		job.Identities = append(job.Identities, lease.Identity{ClientID: string(p.ClientID), PrincipalID: string(p.ObjectID),
			ResourceID: resourceUnless(system, p.Resource), Name: p.DisplayName, System: system})
	}
	return nil
}

func resourceUnless(system bool, id string) string {
	if system {
		return ""
	}
	return id
}

// Get returns a run.
func (s *Service) Get(ctx context.Context, id arm.ID) (Run, error) {
	row, err := s.row(ctx, id)
	return s.show(row), err
}

func (s *Service) row(ctx context.Context, id arm.ID) (Row, error) {
	row, err := s.Store.Run(ctx, id.Parent(), id.Name())
	if errors.Is(err, ErrNotFound) {
		if _, err := s.Registries.Get(ctx, id.Parent()); err != nil {
			return row, err
		}
		return row, resource.NotFound(Kind.Canonical(id))
	}
	return row, err
}

// List lists a registry's runs, newest first. If there are more than the filter's Top, next
// is the Before of the filter that goes on, else 0.
func (s *Service) List(ctx context.Context, registryID arm.ID, filter Filter) (runs []Run, next int64, err error) {
	reg, err := s.Registries.Get(ctx, registryID)
	if err != nil {
		return nil, 0, err
	}
	top := filter.Top
	if top > 0 {
		filter.Top++ // tells whether there are more
	}
	rows, err := s.Store.Runs(ctx, reg.ID, filter)
	if err != nil {
		return nil, 0, err
	}
	if top > 0 && len(rows) > top {
		rows = rows[:top]
		next = rows[top-1].Number
	}
	runs = make([]Run, 0, len(rows))
	for _, row := range rows {
		runs = append(runs, s.show(row))
	}
	return runs, next, nil
}

// SetArchived changes whether the run is kept for good.
func (s *Service) SetArchived(ctx context.Context, id arm.ID, archived bool, now time.Time) (Run, error) {
	row, err := s.change(ctx, id, func(row *Row) error {
		row.Properties.IsArchiveEnabled, row.Updated = archived, now
		return nil
	})
	return s.show(row), err
}

// change changes a run and tells who waits.
func (s *Service) change(ctx context.Context, id arm.ID, fn func(*Row) error) (Row, error) {
	row, err := s.write(ctx, func(ctx context.Context) (Row, error) { return s.row(ctx, id) }, fn)
	if err == nil {
		s.bell.Ring()
	}
	return row, err
}

// write reads, changes and writes a run in one transaction.
func (s *Service) write(ctx context.Context, read func(context.Context) (Row, error), fn func(*Row) error) (row Row, err error) {
	err = s.Store.InTx(ctx, func(ctx context.Context) error {
		if row, err = read(ctx); err != nil {
			return err
		}
		if err := fn(&row); err != nil {
			return err
		}
		return s.Store.PutRun(ctx, row)
	})
	return row, err
}

// Cancel asks for the end of a run. A queued one ends at once; for others the agent
// is told. A run that has ended stays as it is.
func (s *Service) Cancel(ctx context.Context, id arm.ID, now time.Time) error {
	_, err := s.change(ctx, id, func(row *Row) error {
		switch {
		case row.Status.Final():
		case row.Status == Queued:
			s.finish(row, lease.Canceled, "", now)
		default:
			row.Cancel, row.Updated = true, now
		}
		return nil
	})
	return err
}

// CancelQueued ends the queued runs of a task.
func (s *Service) CancelQueued(ctx context.Context, id arm.ID, now time.Time) error {
	rows, err := s.Store.QueuedOf(ctx, id)
	if err != nil {
		return err
	}
	return s.cancelAll(ctx, rows, "the task was deleted", now)
}

// CancelPool ends the runs of a registry that wait for agents of a pool.
func (s *Service) CancelPool(ctx context.Context, registry arm.ID, pool string, now time.Time) error {
	rows, err := s.Store.QueuedIn(ctx, registry, poolKey(pool))
	if err != nil {
		return err
	}
	return s.cancelAll(ctx, rows, "the agent pool was deleted", now)
}

func (s *Service) cancelAll(ctx context.Context, rows []Row, why string, now time.Time) error {
	for _, row := range rows {
		s.finish(&row, lease.Canceled, why, now)
		if err := s.Store.PutRun(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// CountQueued counts the runs of a registry that wait for agents of a pool.
func (s *Service) CountQueued(ctx context.Context, registry arm.ID, pool string) (int, error) {
	rows, err := s.Store.QueuedIn(ctx, registry, poolKey(pool))
	return len(rows), err
}

// finish makes the final state of row.
func (s *Service) finish(row *Row, status lease.Status, message string, now time.Time) {
	row.Status, row.Finished, row.Updated = Status(status), now, now
	row.Job, row.LeaseUntil = nil, time.Time{}
	if message != "" {
		row.Properties.RunErrorMessage = &message
	}
}

// Wake lets agents look for runs that were queued in a transaction of the caller's.
func (s *Service) Wake() { s.bell.Ring() }

// Changed returns a channel that is closed when any run changes. Take it before looking
// at what may change.
func (s *Service) Changed() <-chan struct{} { return s.bell.Rung() }

// Active reports whether a run is being executed; tokens made for it count only then.
func (s *Service) Active(ctx context.Context, runKey string) (bool, error) {
	id, err := arm.ParseID(runKey)
	if err != nil {
		return false, nil
	}
	row, err := s.Store.Run(ctx, id.Parent(), id.Name())
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && (row.Status == Started || row.Status == Running), err
}

// lost is the error text of a run whose agent is gone.
func lost(agent string) string {
	return fmt.Sprintf("the agent '%s' stopped while it executed this run", agent)
}

// EndLost ends the runs whose agent has not been heard of in time, and those the
// named agent holds, which is how a server that starts ends what its own agent left.
func (s *Service) EndLost(ctx context.Context, agent string, now time.Time) error {
	rows, err := s.Store.Leased(ctx, now, agent)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := s.endLost(ctx, row, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) endLost(ctx context.Context, seen Row, now time.Time) error {
	fenced := false
	_, err := s.change(ctx, seen.ID(), func(row *Row) error {
		if fenced = row.Fence == seen.Fence && !row.Status.Final(); fenced {
			row.Fence++ // what the agent still sends is refused
		}
		return nil
	})
	if err != nil || !fenced {
		return err // it was completed meanwhile
	}
	// First the last words, then the state that says there are no more.
	message := lost(seen.Agent)
	words := fmt.Sprintf("\r\nRun ID: %s failed after %s. Error: %s\r\n", seen.Properties.RunID, now.Sub(seen.Started).Round(time.Second), message)
	if err := s.Logs.AppendLast(runlog.Key{Registry: seen.Registry.String(), RunID: seen.Properties.RunID}, words); err != nil {
		return err
	}
	_, err = s.change(ctx, seen.ID(), func(row *Row) error {
		if !row.Status.Final() {
			s.finish(row, lease.Error, message, now)
		}
		return nil
	})
	return err
}

// errNotLeased says that a call came for a run that nobody holds.
var errNotLeased = problem.New(problem.Conflict, "LeaseLost", "the run is not leased to this agent").Because(lease.ErrLost)

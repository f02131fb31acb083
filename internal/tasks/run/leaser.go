package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/runlog"
	"github.com/acrux/acrux/internal/tasks/task"
	"github.com/acrux/acrux/internal/tasks/upload"
)

var _ lease.Leaser = (*Service)(nil)

// Term is how long a lease counts without being renewed.
const Term = 15 * time.Second

// pollEvery is how often a waiting agent looks even if nobody rang: another server
// on the same database may have queued a run.
const pollEvery = 2 * time.Second

// Acquire implements lease.Leaser.
func (s *Service) Acquire(ctx context.Context, agent lease.Agent) (*lease.Lease, error) {
	for {
		rung := s.bell.Rung()
		s.agents.note(agent, time.Now())
		got, err := s.tryAcquire(ctx, agent, time.Now())
		if !errors.Is(err, ErrNotFound) {
			return got, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-rung:
		case <-time.After(pollEvery):
		}
	}
}

func (s *Service) tryAcquire(ctx context.Context, agent lease.Agent, now time.Time) (*lease.Lease, error) {
	var row Row
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		var err error
		if row, err = s.Store.NextQueued(ctx, agent); err != nil {
			return err
		}
		row.Status, row.Agent, row.Started, row.Updated = Started, agent.Name, now, now
		row.Fence, row.LeaseUntil = row.Fence+1, now.Add(Term)
		return s.Store.PutRun(ctx, row)
	})
	if problem.Is(err, problem.Away) && row.Agent == agent.Name {
		err = s.settle(ctx, row, err)
	}
	if err != nil {
		return nil, err
	}
	s.bell.Ring()
	job, err := s.unseal(row)
	if err != nil {
		return nil, err
	}
	job.RegistryID = row.Registry.String()
	if _, uploaded := upload.Registry(job.Step.Context); uploaded {
		job.Step.Context = s.SourceURL(job.Step.Context, row.ID().Key(), now)
	}
	if err := s.ownLogin(&job, row, now); err != nil {
		return nil, err
	}
	return &lease.Lease{Key: lease.Key{Run: row.ID().String(), Fence: row.Fence}, Deadline: row.LeaseUntil, Job: job}, nil
}

// settle finds out whether a run was leased by a transaction whose end was not heard, since
// the store went away with it: nobody else would execute it.
func (s *Service) settle(ctx context.Context, wanted Row, unheard error) error {
	for {
		row, err := s.held(ctx, lease.Key{Run: wanted.ID().String(), Fence: wanted.Fence})
		same := row.Agent == wanted.Agent && row.LeaseUntil.Equal(wanted.LeaseUntil.Truncate(time.Microsecond))
		switch {
		case err == nil && same:
			return nil
		case !problem.Is(err, problem.Away):
			return unheard // and that was nothing, or somebody else has it
		}
		select {
		case <-ctx.Done():
			return unheard
		case <-time.After(pollEvery):
		}
	}
}

// ownLogin puts the run's own registry in front of its logins, with a refresh token
// that counts as long as the run is active.
func (s *Service) ownLogin(job *lease.Job, row Row, now time.Time) error {
	if auth := row.Properties.SourceRegistryAuth; auth != nil && *auth == "None" {
		return nil
	}
	name := strings.ToLower(row.Registry.Name())
	text, err := s.Issuer.Refresh(name, token.Subject{Run: row.ID().Key()}, now, job.Timeout+time.Hour)
	if err != nil {
		return fmt.Errorf("a token for %s: %w", row.ID(), err)
	}
	own := lease.Login{Registry: job.LoginServer, Username: secret.New(oci.RefreshUser), Password: secret.New(text), Own: true,
		Aliases: s.aliases(row.Registry)}
	job.Logins = append([]lease.Login{own}, job.Logins...)
	return nil
}

// held returns the run of a key if its token is the current one.
func (s *Service) held(ctx context.Context, key lease.Key) (Row, error) {
	id, err := arm.ParseID(key.Run)
	if err != nil {
		return Row{}, errNotLeased
	}
	row, err := s.Store.Run(ctx, id.Parent(), id.Name())
	if errors.Is(err, ErrNotFound) {
		return row, errNotLeased
	}
	if err == nil && (row.Fence != key.Fence || row.Status.Final() || row.Status == Queued) {
		err = errNotLeased
	}
	return row, err
}

// update changes a held run and tells nobody: a renewed lease is no news.
func (s *Service) update(ctx context.Context, key lease.Key, fn func(*Row) error) (Row, error) {
	return s.write(ctx, func(ctx context.Context) (Row, error) { return s.held(ctx, key) }, fn)
}

// Renew implements lease.Leaser.
func (s *Service) Renew(ctx context.Context, key lease.Key) error {
	rung := s.bell.Rung()
	row, err := s.update(ctx, key, func(row *Row) error {
		row.LeaseUntil = time.Now().Add(Term)
		return nil
	})
	if err == nil {
		s.agents.busy(row, time.Now())
	}
	half := time.NewTimer(Term / 2)
	defer half.Stop()
	for {
		switch {
		case err != nil:
			return err
		case row.Cancel:
			return lease.ErrCanceled
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-half.C:
			return nil
		case <-rung:
		}
		rung = s.bell.Rung()
		row, err = s.held(ctx, key)
	}
}

// Report implements lease.Leaser.
func (s *Service) Report(ctx context.Context, key lease.Key, progress lease.Progress) error {
	if progress.Stage != lease.Running {
		_, err := s.held(ctx, key)
		return err
	}
	_, err := s.update(ctx, key, func(row *Row) error {
		if row.Status == Started {
			row.Status, row.Updated = Running, time.Now()
		}
		return nil
	})
	if err == nil {
		s.bell.Ring()
	}
	return err
}

// AppendLog implements lease.Leaser.
func (s *Service) AppendLog(ctx context.Context, key lease.Key, offset int64, p []byte) error {
	row, err := s.held(ctx, key)
	if err != nil {
		return err
	}
	return s.Logs.Append(runlog.Key{Registry: row.Registry.String(), RunID: row.Properties.RunID}, offset, p)
}

// Token implements lease.Leaser. The token ends with the run, and with its time at the latest.
func (s *Service) Token(ctx context.Context, key lease.Key, req lease.TokenRequest) (lease.AccessToken, error) {
	row, err := s.held(ctx, key)
	if err != nil {
		return lease.AccessToken{}, err
	}
	job, err := s.unseal(row)
	if err != nil {
		return lease.AccessToken{}, err
	}
	return s.issue(ctx, job.Identities, req, row.ID().Key(), time.Until(row.Started.Add(job.Timeout+time.Minute)))
}

// elsewhereTTL is how long a token lives that is given out for a run elsewhere.
const elsewhereTTL = time.Hour

// TaskToken returns a token of one of a task's identities, for a run of the task that is
// executed by whoever asks. The caller has checked that he may.
func (s *Service) TaskToken(ctx context.Context, taskID arm.ID, req lease.TokenRequest) (lease.AccessToken, error) {
	t, err := s.Tasks.Get(ctx, taskID)
	if err != nil {
		return lease.AccessToken{}, err
	}
	var job lease.Job
	if err := s.identities(ctx, &job, t.Identity); err != nil {
		return lease.AccessToken{}, err
	}
	return s.issue(ctx, job.Identities, req, "", elsewhereTTL)
}

// issue makes a token of the identity that is meant, for at most so long, and not for longer
// than the run that it is got in.
func (s *Service) issue(ctx context.Context, all []lease.Identity, req lease.TokenRequest, within string,
	most time.Duration) (lease.AccessToken, error) {
	chosen, err := choose(all, req)
	if err != nil {
		return lease.AccessToken{}, err
	}
	p, err := s.Directory.Principal(ctx, identity.ObjectID(chosen.PrincipalID))
	if errors.Is(err, identity.ErrNotFound) {
		return lease.AccessToken{}, errNoIdentity
	}
	if err != nil {
		return lease.AccessToken{}, err
	}
	p.Within = within
	now := time.Now()
	ttl := min(token.ManagedTTL, most)
	text, err := s.Issuer.Identity(p, req.Audience, now, ttl)
	return lease.AccessToken{Token: secret.New(text), ClientID: chosen.ClientID, NotBefore: now, ExpiresAt: now.Add(ttl)}, err
}

var (
	errNoIdentity = problem.New(problem.Invalid, "invalid_request", "Identity not found")
	errAmbiguous  = problem.New(problem.Invalid, "invalid_request", "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request")
)

// choose finds the identity a request means, run-semantics 6.4.
func choose(all []lease.Identity, req lease.TokenRequest) (lease.Identity, error) {
	for _, id := range all {
		if matches(req.ClientID, id.ClientID) || matches(req.PrincipalID, id.PrincipalID) || matches(req.ResourceID, id.ResourceID) {
			return id, nil
		}
	}
	switch {
	case req.ClientID != "" || req.PrincipalID != "" || req.ResourceID != "" || len(all) == 0:
		return lease.Identity{}, errNoIdentity
	case all[0].System || len(all) == 1:
		return all[0], nil
	}
	return lease.Identity{}, errAmbiguous
}

func matches(asked, have string) bool { return asked != "" && strings.EqualFold(asked, have) }

// Complete implements lease.Leaser.
func (s *Service) Complete(ctx context.Context, key lease.Key, result lease.Result) error {
	row, err := s.held(ctx, key)
	if err != nil {
		return err
	}
	if err := s.Logs.Sync(runlog.Key{Registry: row.Registry.String(), RunID: row.Properties.RunID}); err != nil {
		return err
	}
	// One transaction: a run that has ended well has taught its task, whatever is killed when.
	err = s.Store.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.update(ctx, key, func(row *Row) error { s.end(row, result); return nil }); err != nil {
			return err
		}
		if result.Status != lease.Succeeded || row.Task.IsRoot() {
			return nil
		}
		return s.Tasks.Remember(ctx, row.Task, baseImages(result.Dependencies))
	})
	if err == nil {
		s.bell.Ring()
	}
	return err
}

// end writes an outcome into a run.
func (s *Service) end(row *Row, result lease.Result) {
	s.finish(row, result.Status, cmp.Or(result.Cause, result.Message), time.Now())
	if result.Status == lease.Succeeded {
		row.Properties.OutputImages = outputs(result.Dependencies)
	}
	if result.Layers.Total > 0 {
		row.Properties.LayerCache = &LayerCache{Layers: result.Layers.Total, Cached: result.Layers.Cached}
	}
}

func outputs(all []lease.Dependency) []Image {
	images := []Image{}
	for _, d := range all {
		if d.Image != nil && d.Image.Digest != "" {
			images = append(images, Image(*d.Image))
		}
	}
	return images
}

func baseImages(all []lease.Dependency) []task.BaseImage {
	var images []task.BaseImage
	seen := map[task.BaseImage]bool{}
	add := func(kind string, image lease.Image) {
		base := task.BaseImage{Type: kind, Registry: image.Registry, Repository: image.Repository, Tag: image.Tag, Digest: image.Digest}
		if base.Repository != "" && !seen[base] {
			seen[base] = true
			images = append(images, base)
		}
	}
	for _, d := range all {
		if d.Runtime != nil {
			add("RunTime", *d.Runtime)
		}
		for _, image := range d.BuildTime {
			add("BuildTime", image)
		}
	}
	return images
}

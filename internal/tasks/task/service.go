package task

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/upload"
)

// Task is a task as a resource.
type Task = arm.Resource[Properties]

// Canceler cancels the queued runs of a task.
type Canceler interface {
	CancelQueued(ctx context.Context, task arm.ID, now time.Time) error
}

// Planner plans what makes runs of a task. It takes part in the transaction that wrote it.
type Planner interface {
	Plan(ctx context.Context, t Task, now time.Time) error
}

// Service serves tasks.
type Service struct {
	*resource.Collection[Properties]
	Secrets resource.Secrets
	Managed *identity.Managed
	Runs    Canceler
	Uploads *upload.Uploads // of which a task may have one as its source
	Planner Planner         // nil plans nothing
}

// NewService returns the service.
func NewService(store resource.Store, secrets resource.Secrets, managed *identity.Managed, runs Canceler) *Service {
	return &Service{Collection: &resource.Collection[Properties]{Kind: Kind, Store: store}, Secrets: secrets, Managed: managed, Runs: runs}
}

// Put creates or changes a task. Identities are attached or made, secrets are sealed
// apart from the document.
func (s *Service) Put(ctx context.Context, put resource.Put[Properties]) (Task, bool, error) {
	if !namePattern.MatchString(put.ID.Name()) {
		return Task{}, false, problem.New(problem.Invalid, "InvalidTaskName", "The task name '%s' is not valid: it has 5 to 50 letters, digits, '-' and '_'.", put.ID.Name()).On("name")
	}
	if err := put.Properties.normalise(); err != nil {
		return Task{}, false, err
	}
	if err := put.Properties.Step.checkContext(); err != nil {
		return Task{}, false, err
	}
	return s.putPlanned(ctx, put, func(ctx context.Context, old, res *Task) error {
		res.Properties.CreationDate = arm.Time(res.Created)
		res.Properties.Step.BaseImages = nil
		if old != nil && old.Properties.Step.Type == res.Properties.Step.Type {
			res.Properties.Step.BaseImages = old.Properties.Step.BaseImages
		}
		if err := s.takeSource(before(old), res); err != nil {
			return err
		}
		var err error
		if res.Identity, err = s.Managed.Resolve(ctx, res.ID, res.Identity, put.Identity, put.Now); err != nil {
			return err
		}
		return SealSecrets(ctx, s.Secrets, res.ID, before(old), &res.Properties)
	})
}

// putPlanned writes a task and what it is to be started by.
func (s *Service) putPlanned(ctx context.Context, put resource.Put[Properties],
	change func(ctx context.Context, old, res *Task) error) (t Task, created bool, err error) {
	err = s.Store.InTx(ctx, func(ctx context.Context) error {
		if t, created, err = s.PutResource(ctx, put, change); err != nil || s.Planner == nil {
			return err
		}
		return s.Planner.Plan(ctx, t, put.Now)
	})
	return t, created, err
}

// takeSource keeps an upload that becomes a task's source as it is: nobody changes what its
// runs execute by what he got for uploading it. A task whose source stays is not asked
// again: uploads go after two days.
func (s *Service) takeSource(old *Properties, res *Task) error {
	path := res.Properties.Step.ContextPath
	if _, uploaded := upload.Registry(path); !uploaded || old != nil && old.Step.ContextPath == path {
		return nil
	}
	err := s.Uploads.Take(path, res.ID.Parent().Name())
	if errors.Is(err, upload.ErrNotFound) {
		return problem.New(problem.NotFound, "SourceLocationNotFound",
			"The upload '%s' was not found in registry '%s'.", path, res.ID.Parent().Name()).On("step.contextPath")
	}
	return err
}

func before(old *Task) *Properties {
	if old == nil {
		return nil
	}
	return &old.Properties
}

// SealSecrets moves the secrets of p, which belong to the resource id, out to sealed
// rows. Those that are marked secret and not given keep what they were; the rest of the
// old ones is forgotten. old is what was there before, or nil.
func SealSecrets(ctx context.Context, store resource.Secrets, id arm.ID, old, p *Properties) error {
	found, kept := p.extractSecrets()
	if old != nil && old.Step.ContextPath != p.Step.ContextPath {
		delete(kept, contextToken) // a credential does not follow to another host
	}
	for _, name := range p.movedSources(old) {
		delete(kept, sourceToken(name))
		delete(kept, HookSecret(name))
	}
	stored, err := store.Secrets(ctx, id)
	if err != nil {
		return err
	}
	for name := range stored {
		if _, replaced := found[name]; !replaced && !kept[name] {
			if err := store.DeleteSecret(ctx, id, name); err != nil {
				return err
			}
		}
	}
	for name, value := range found {
		if err := store.PutSecret(ctx, id, name, value); err != nil {
			return err
		}
	}
	return nil
}

// RevealSecrets puts back what SealSecrets has moved out.
func RevealSecrets(ctx context.Context, store resource.Secrets, id arm.ID, p *Properties) error {
	secrets, err := store.Secrets(ctx, id)
	if err == nil {
		p.restoreSecrets(secrets)
	}
	return err
}

// Delete removes the task, its system identity and its queued runs. Runs that were
// started go on to their end.
func (s *Service) Delete(ctx context.Context, id arm.ID) (bool, error) {
	existed := false
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		var err error
		if existed, err = s.Collection.Delete(ctx, id); err != nil || !existed {
			return err
		}
		return s.Runs.CancelQueued(ctx, id, time.Now())
	})
	return existed, err
}

// Details returns the task with its secrets, for those who may see them and for runs.
func (s *Service) Details(ctx context.Context, id arm.ID) (Task, error) {
	res, err := s.Get(ctx, id)
	if err != nil {
		return res, err
	}
	return res, RevealSecrets(ctx, s.Secrets, res.ID, &res.Properties)
}

// Remember keeps the base images that a successful run of the task found.
func (s *Service) Remember(ctx context.Context, id arm.ID, images []BaseImage) error {
	return s.Store.InTx(ctx, func(ctx context.Context) error {
		res, err := s.Get(ctx, id)
		if problem.Is(err, problem.NotFound) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		put := resource.Put[Properties]{ID: id, Location: res.Location, Tags: res.Tags, SKU: res.SKU, Properties: res.Properties, Caller: res.UpdatedBy, Now: time.Now()}
		_, _, err = s.putPlanned(ctx, put, func(_ context.Context, _, next *Task) error {
			next.Properties.Step.BaseImages = images
			return nil
		})
		return err
	})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

package trigger

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/task"
)

// planSources gives each source trigger of a task an address and a secret. What it has had, it
// keeps, unless it looks at another repository now.
func (s *Service) planSources(ctx context.Context, t task.Task) error {
	var sources []Source
	if t.Properties.Trigger != nil {
		for _, one := range t.Properties.Trigger.Source {
			sources = append(sources, Source{ID: rand.Text(), Task: t.ID, Name: one.Name})
		}
	}
	if err := s.Store.PutSources(ctx, t.ID, sources); err != nil || len(sources) == 0 {
		return err
	}
	have, err := s.Tasks.Secrets.Secrets(ctx, t.ID)
	if err != nil {
		return err
	}
	for _, one := range sources {
		name := task.HookSecret(one.Name)
		if _, there := have[name]; there {
			continue
		}
		if err := s.Tasks.Secrets.PutSecret(ctx, t.ID, name, secret.New(rand.Text())); err != nil {
			return err
		}
	}
	return nil
}

// Hook is where the git host of a source trigger is to send its deliveries, and what they are
// to be signed with.
type Hook struct {
	Source
	Secret secret.String
}

// HookOf finds a source trigger by the ID in its hook's address. It returns resource.ErrNotFound
// where there is none.
func (s *Service) HookOf(ctx context.Context, id string) (Hook, error) {
	source, err := s.Store.Source(ctx, id)
	if err != nil {
		return Hook{}, err
	}
	secrets, err := s.Tasks.Secrets.Secrets(ctx, source.Task)
	return Hook{Source: source, Secret: secrets[task.HookSecret(source.Name)]}, err
}

// HooksOf lists the hooks of a task, by the names of their triggers.
func (s *Service) HooksOf(ctx context.Context, id arm.ID) ([]Hook, error) {
	t, err := s.Tasks.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	sources, err := s.Store.Sources(ctx, t.ID)
	if err != nil || len(sources) == 0 {
		return nil, err
	}
	secrets, err := s.Tasks.Secrets.Secrets(ctx, t.ID)
	hooks := make([]Hook, 0, len(sources))
	for _, source := range sources {
		hooks = append(hooks, Hook{Source: source, Secret: secrets[task.HookSecret(source.Name)]})
	}
	return hooks, err
}

// Refuse notes in the log of its task that a delivery was not taken, and why.
func (s *Service) Refuse(ctx context.Context, source Source, why string, now time.Time) error {
	e := Entry{Task: source.Task, Kind: BySource, Trigger: source.Name, Object: "a delivery", Time: now, Reason: why, Times: 1}
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.Store.Source(ctx, source.ID); err != nil {
			return err // the task was deleted meanwhile
		}
		return s.record(ctx, e)
	})
	if errors.Is(err, resource.ErrNotFound) {
		return nil
	}
	return err
}

// sourceTrigger finds a source trigger of a task; nil if one of them is not there any more.
func (s *Service) sourceTrigger(ctx context.Context, source Source) (task.Task, *task.SourceTrigger, error) {
	t, err := s.Tasks.Get(ctx, source.Task)
	if problem.Is(err, problem.NotFound) {
		return t, nil, nil
	}
	return t, t.Properties.SourceNamed(source.Name), err
}

// samePath reports whether two URLs name the same repository of a host, which may be known by
// several names.
func samePath(a, b string) bool {
	_, x, _ := strings.Cut(task.RepositoryKey(a), "/")
	_, y, _ := strings.Cut(task.RepositoryKey(b), "/")
	return x == y
}

// Package taskrun holds task runs: requests for a run that are resources, as templates
// and scripts like them. Writing one makes a run, with the identity of the task run;
// writing it again makes another only if something has changed, or the tag that is there
// to say so.
package taskrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
)

// Kind is the kind of task runs.
var Kind = arm.NewKind("Microsoft.ContainerRegistry/registries/taskRuns")

// Properties are those of a task run. RunResult is the run as it is now; the document
// has its name only.
type Properties struct {
	RunRequest        *run.Request `json:"runRequest"`
	ForceUpdateTag    *string      `json:"forceUpdateTag,omitempty"`
	RunName           string       `json:"runName,omitempty"`
	RunResult         any          `json:"runResult"`
	ProvisioningState string       `json:"provisioningState"`
}

// Pending reports whether the run goes on: the resource is not yet what was asked for.
func (p Properties) Pending() bool { return p.ProvisioningState == pending }

// pending is the state of a task run whose run has not ended.
const pending = "Creating"

// TaskRun is a task run as a resource.
type TaskRun = arm.Resource[Properties]

// Service serves task runs. Its fields are set once.
type Service struct {
	*resource.Collection[Properties]
	Secrets resource.Secrets
	Managed *identity.Managed
	Runs    *run.Service
}

// NewService returns the service.
func NewService(store resource.Store, secrets resource.Secrets, managed *identity.Managed, runs *run.Service) *Service {
	return &Service{Collection: &resource.Collection[Properties]{Kind: Kind, Store: store}, Secrets: secrets, Managed: managed, Runs: runs}
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{5,50}$`)

// Get returns a task run with its run.
func (s *Service) Get(ctx context.Context, id arm.ID) (TaskRun, error) {
	res, err := s.Collection.Get(ctx, id)
	if err != nil {
		return res, err
	}
	return res, s.look(ctx, &res)
}

// List returns the task runs that the query selects, with their runs.
func (s *Service) List(ctx context.Context, q resource.Query) ([]TaskRun, error) {
	all, err := s.Collection.List(ctx, q)
	for i := range all {
		if err == nil {
			err = s.look(ctx, &all[i])
		}
	}
	return all, err
}

// look fills in what is true of the run now.
func (s *Service) look(ctx context.Context, res *TaskRun) error {
	result, err := s.Runs.Get(ctx, res.ID.Parent().Child("runs", res.Properties.RunName))
	if problem.Is(err, problem.NotFound) {
		res.Properties.ProvisioningState = string(lease.Failed)
		return nil
	}
	if err != nil {
		return err
	}
	res.Properties.RunResult = result
	switch status := result.Properties.Status; {
	case !status.Final():
		res.Properties.ProvisioningState = pending
	case status == run.Status(lease.Succeeded) || status == run.Status(lease.Canceled):
		res.Properties.ProvisioningState = string(status)
	default:
		res.Properties.ProvisioningState = string(lease.Failed)
	}
	return nil
}

// Put creates or changes a task run, and queues its run if there is reason to.
func (s *Service) Put(ctx context.Context, put resource.Put[Properties]) (TaskRun, bool, error) {
	if !namePattern.MatchString(put.ID.Name()) {
		return TaskRun{}, false, problem.New(problem.Invalid, "InvalidTaskRunName", "The task run name '%s' is not valid: it has 5 to 50 letters, digits, '-' and '_'.", put.ID.Name()).On("name")
	}
	if put.Properties.RunRequest == nil {
		return TaskRun{}, false, problem.New(problem.Invalid, "InvalidParameterValue", "A task run needs a run request.").On("properties.runRequest")
	}
	res, created, err := s.PutResource(ctx, put, func(ctx context.Context, old, res *TaskRun) error {
		var err error
		if res.Identity, err = s.Managed.Resolve(ctx, res.ID, res.Identity, put.Identity, put.Now); err != nil {
			return err
		}
		return s.request(ctx, old, res, put)
	})
	if err != nil {
		return res, created, err
	}
	s.Runs.Wake()
	return res, created, s.look(ctx, &res)
}

// request seals the secrets of the request and queues its run, unless that was done.
func (s *Service) request(ctx context.Context, old, res *TaskRun, put resource.Put[Properties]) error {
	p := &res.Properties
	p.RunResult, p.ProvisioningState, p.RunName = nil, "", ""
	var before *task.Properties
	if old != nil {
		before = parts(old.Properties.RunRequest)
		p.RunName = old.Properties.RunName
	}
	if err := task.SealSecrets(ctx, s.Secrets, res.ID, before, parts(p.RunRequest)); err != nil {
		return err
	}
	if due, err := due(old, p); err != nil || !due {
		return err
	}
	req, err := s.revealed(ctx, *res)
	if err != nil {
		return err
	}
	req.Identity = res.Identity
	queued, err := s.Runs.Schedule(ctx, res.ID.Parent(), req, put.Now)
	p.RunName = queued.Properties.RunID
	return err
}

// parts are those of a request that can hold secrets, where a task has them.
func parts(req *run.Request) *task.Properties {
	return &task.Properties{Step: &req.Step, Credentials: req.Credentials}
}

// due reports whether a run is to be made for p after old.
func due(old *TaskRun, p *Properties) (bool, error) {
	if old == nil {
		return true, nil
	}
	before, err := json.Marshal([]any{old.Properties.RunRequest, old.Properties.ForceUpdateTag})
	now, err2 := json.Marshal([]any{p.RunRequest, p.ForceUpdateTag})
	return !bytes.Equal(before, now), errors.Join(err, err2)
}

// revealed is the request of a task run with its secrets, for those who may see them and
// for its run.
func (s *Service) revealed(ctx context.Context, res TaskRun) (run.Request, error) {
	var req run.Request
	text, err := json.Marshal(res.Properties.RunRequest) // a copy: res must not have them
	if err == nil {
		err = json.Unmarshal(text, &req)
	}
	if err != nil {
		return req, fmt.Errorf("copying the request of %s: %w", res.ID, err)
	}
	return req, task.RevealSecrets(ctx, s.Secrets, res.ID, parts(&req))
}

// Details returns the task run with the secrets of its request.
func (s *Service) Details(ctx context.Context, id arm.ID) (TaskRun, error) {
	res, err := s.Get(ctx, id)
	if err != nil {
		return res, err
	}
	req, err := s.revealed(ctx, res)
	res.Properties.RunRequest = &req
	return res, err
}

package armapi

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/access/tenant"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/mirror"
	"github.com/acrux/acrux/internal/registry/repotoken"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/pool"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
	"github.com/acrux/acrux/internal/tasks/taskrun"
	"github.com/acrux/acrux/internal/tasks/trigger"
	"github.com/acrux/acrux/internal/tasks/upload"
)

var groupKind = tenant.Groups

// Services are the services behind the control plane.
type Services struct {
	Groups     *tenant.GroupService
	Identities *identity.Managed
	Federated  *identity.Federated
	Registries *registry.Registries
	Content    *registry.Content
	ScopeMaps  *repotoken.ScopeMaps
	Tokens     *repotoken.Tokens
	Imports    *mirror.Imports
	Tasks      *task.Service
	Runs       *run.Service
	Triggers   *trigger.Service
	// HookURL is where a git host sends its deliveries for a source trigger.
	HookURL  func(id string) string
	TaskRuns *taskrun.Service
	Pools    *pool.Service
	// LogURL makes a signed URL under which a principal can read the log of a run.
	LogURL func(registryID, runID string, who identity.ObjectID, now time.Time) string
	// UploadURL makes a signed URL under which a principal can write an upload.
	UploadURL func(path string, who identity.ObjectID, now time.Time) string
}

// MountAll is the control plane's table of contents.
func (s *Server) MountAll(services Services) {
	s.services = services
	h := handlers{Services: services, server: s}

	Mount(s, tenant.Groups, services.Groups, Options{OldestVersion: "2014-01-01", Actions: "Microsoft.Resources/subscriptions/resourceGroups"})

	Mount(s, identity.UserAssigned, services.Identities, Options{OldestVersion: "2015-08-31"})
	Action(s, identity.UserAssigned, "listAssociatedResources", bare(h.associated))
	Mount(s, identity.FederatedCredential, services.Federated, Options{OldestVersion: "2018-11-30"})

	Mount(s, registry.Kind, services.Registries, Options{OldestVersion: "2017-03-01", KeepNulls: true})
	Action(s, registry.Kind, "importImage", h.importImage)
	Action(s, registry.Kind, "listCredentials", bare(h.credentials))
	Action(s, registry.Kind, "regenerateCredential", h.regenerateCredential)
	Reading(s, registry.Kind, "listUsages", h.usages)
	Action(s, registry.Kind, "generateCredentials", h.generateCredentials)
	Mount(s, repotoken.MapKind, services.ScopeMaps, Options{OldestVersion: "2019-05-01", KeepNulls: true})
	Mount(s, repotoken.Kind, services.Tokens, Options{OldestVersion: "2019-05-01", KeepNulls: true})
	Action(s, registry.Kind, "scheduleRun", h.scheduleRun)
	Action(s, registry.Kind, "listBuildSourceUploadUrl", bare(h.uploadURL))
	for _, typ := range []string{"replications", "privateEndpointConnections", "cacheRules", "credentialSets"} {
		s.empty(arm.NewKind(registry.Kind.String()+"/"+typ), "2017-03-01")
	}

	Mount(s, task.Kind, services.Tasks, Options{OldestVersion: "2018-02-01", CreatedIsOK: true})
	Action(s, task.Kind, "listDetails", bare(h.taskDetails))
	Action(s, task.Kind, "getIdentityToken", h.taskToken)
	Action(s, task.Kind, "listSourceHooks", bare(h.sourceHooks))
	s.add(&kind{Kind: triggerEvents, oldest: "2018-02-01", actions: map[string]action{}, list: h.triggerLog})
	s.add(&kind{Kind: triggerPlans, oldest: "2018-02-01", actions: map[string]action{}, list: h.triggerPlan})

	s.add(&kind{Kind: run.Kind, oldest: "2018-02-01", actions: map[string]action{}, get: h.run, list: h.runs, patch: h.patchRun})
	Action(s, run.Kind, "cancel", bare(h.cancelRun))
	Action(s, run.Kind, "listLogSasUrl", bare(h.logURL))

	Mount(s, taskrun.Kind, services.TaskRuns, Options{OldestVersion: "2019-06-01"})
	Action(s, taskrun.Kind, "listDetails", bare(h.taskRunDetails))

	Mount(s, pool.Kind, services.Pools, Options{OldestVersion: "2019-06-01", Leaving: services.Pools.Leaving})
	Reading(s, pool.Kind, deletion, s.deletionOf(services.Pools.Leaving))
	Action(s, pool.Kind, "listQueueStatus", bare(h.queueStatus))
}

// handlers are the actions, and the types that are tables.
type handlers struct {
	Services
	server *Server
}

func (s *Server) checkName(ctx context.Context, c *Call) (answer, error) {
	var asked registry.NameCheck
	if err := c.Decode(&asked); err != nil {
		return answer{}, err
	}
	a, err := s.services.Registries.CheckAvailability(ctx, asked)
	return answer{status: http.StatusOK, body: a}, err
}

// importImage imports at once where no bytes have to move, and queues what must be
// fetched. It needs the right to import here and, if the source
// is a registry of this installation, to pull there. Whether there is one that he may not
// pull from is not the caller's business.
func (h handlers) importImage(ctx context.Context, c *Call) (any, error) {
	var req mirror.Request
	if err := c.Decode(&req); err != nil {
		return nil, err
	}
	if id, err := arm.ParseID(req.Source.ResourceID); err == nil && id.Kind().Key() == registry.Kind.Key() {
		if err := c.Allow(ctx, rbac.ActionPull, registry.Kind.Canonical(id)); err != nil {
			return nil, err
		}
	}
	source, err := h.Imports.Resolve(ctx, req)
	if err != nil {
		return nil, err
	}
	if source.Own() {
		if err := c.Allow(ctx, rbac.ActionPull, source.Registry); err != nil {
			return nil, err
		}
	}
	op, err := h.Imports.Start(ctx, c.ID, source, req, string(c.Caller.ObjectID), c.Now)
	if err != nil {
		return nil, err
	}
	if op == "" {
		return answer{status: http.StatusOK}, nil
	}
	return h.server.accepted(op), nil
}

// retryAfter is sent with every answer about a long-running operation: without it
// some clients wait for 30 s between two looks.
const retryAfter = "1"

// operationVersion is the api-version in the URLs under which clients look for the end of
// what goes on.
const operationVersion = "2023-07-01"

func (s *Server) accepted(operation string) answer {
	url := s.Endpoints.Management + "/subscriptions/" + s.Subscription + "/providers/Microsoft.ContainerRegistry/operations/" + operation + "?api-version=" + operationVersion
	return answer{status: http.StatusAccepted, header: http.Header{"Location": {url}, "Azure-Asyncoperation": {url + "&form=status"}, "Retry-After": {retryAfter}}}
}

// operation tells how an import goes. Under Location a client waits for something
// else than 202; under Azure-AsyncOperation it reads the status.
func (s *Server) operation(id string) serveFunc {
	return func(ctx context.Context, c *Call) (answer, error) {
		op, err := s.services.Imports.Operation(ctx, id)
		if err != nil {
			return answer{}, err
		}
		if err := s.allow(ctx, c, rbac.ActionImport, op.Registry); err != nil {
			return answer{}, err
		}
		head := http.Header{}
		if op.Status == mirror.InProgress {
			head.Set("Retry-After", retryAfter)
		}
		if c.Query("form") == "status" {
			return answer{status: http.StatusOK, header: head, body: op.Body()}, nil
		}
		switch op.Status {
		case mirror.InProgress:
			return answer{status: http.StatusAccepted, header: head, body: op.Body()}, nil
		case mirror.Failed:
			return answer{}, op.Problem()
		}
		return answer{status: http.StatusOK}, nil
	}
}

func (h handlers) scheduleRun(ctx context.Context, c *Call) (any, error) {
	var req run.Request
	if err := c.Decode(&req); err != nil {
		return nil, err
	}
	return h.Runs.Schedule(ctx, c.ID, req, c.Now)
}

// uploadURL says where source code for a run may be uploaded, and how the request
// for the run names it.
func (h handlers) uploadURL(ctx context.Context, c *Call) (any, error) {
	reg, err := h.Registries.Get(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	path := upload.New(reg.ID.Name())
	return map[string]string{"uploadUrl": h.UploadURL(path, c.Caller.ObjectID, c.Now), "relativePath": path}, nil
}

func (h handlers) taskDetails(ctx context.Context, c *Call) (any, error) {
	t, err := h.Tasks.Details(ctx, c.ID)
	c.tag(t.ETag)
	return t, err
}

// taskToken gives a token of a task's identity to who executes the task's steps himself:
// who may change them could have them send it to him.
func (h handlers) taskToken(ctx context.Context, c *Call) (any, error) {
	var req struct {
		Audience    string `json:"audience"`
		ClientID    string `json:"clientId"`
		PrincipalID string `json:"principalId"`
		ResourceID  string `json:"resourceId"`
	}
	if err := c.Decode(&req); err != nil {
		return nil, err
	}
	if req.Audience == "" {
		return nil, problem.New(problem.Invalid, "InvalidParameter", "The audience of the token is missing.").On("audience")
	}
	token, err := h.Runs.TaskToken(ctx, c.ID, lease.TokenRequest(req))
	if err != nil {
		return nil, err
	}
	return map[string]any{"token": token.Token.Reveal(), "clientId": token.ClientID,
		"notBefore": arm.Time(token.NotBefore), "expiresAt": arm.Time(token.ExpiresAt)}, nil
}

func (h handlers) taskRunDetails(ctx context.Context, c *Call) (any, error) {
	return h.TaskRuns.Details(ctx, c.ID)
}

func (h handlers) queueStatus(ctx context.Context, c *Call) (any, error) {
	return h.Pools.QueueStatus(ctx, c.ID)
}

func (h handlers) run(ctx context.Context, c *Call) (any, error) { return h.Runs.Get(ctx, c.ID) }

var (
	taskFilter   = regexp.MustCompile(`(?i)TaskName\s+eq\s+'([^']*)'`)
	statusFilter = regexp.MustCompile(`(?i)Status\s+eq\s+'([^']*)'`)
	outputFilter = regexp.MustCompile(`(?i)contains\(\s*OutputImageManifests\s*,\s*'([^']*)'\s*\)`)
	runFilter    = regexp.MustCompile(`(?i)RunId\s+eq\s+'([^']*)'`)
)

func (h handlers) runs(ctx context.Context, c *Call, q resource.Query) (part, error) {
	if len(c.ID.Names) != 1 {
		return part{}, notRouted(c.ID.String() + "/runs")
	}
	text := c.Query("$filter")
	filter := run.Filter{Task: matched(taskFilter, text), Status: matched(statusFilter, text), RunID: matched(runFilter, text),
		Output: matched(outputFilter, text), Top: q.N}
	if q.After != "" {
		n, err := strconv.ParseInt(q.After, 10, 64)
		if err != nil || n < 1 {
			return part{}, badSkipToken(c.skipToken())
		}
		filter.Before = n
	}
	all, next, err := h.Runs.List(ctx, c.ID, filter)
	if err != nil {
		return part{}, err
	}
	var found part
	for _, r := range all {
		// Who was given single runs sees them among as many as a page has; the next may have others.
		if q.Has(r.ID) {
			found.values = append(found.values, r)
		}
	}
	if next != 0 {
		found.next = strconv.FormatInt(next, 10)
	}
	return found, nil
}

func matched(pattern *regexp.Regexp, text string) string {
	if m := pattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

func (h handlers) patchRun(ctx context.Context, c *Call) (answer, error) {
	var body struct {
		IsArchiveEnabled *bool `json:"isArchiveEnabled"`
	}
	if err := c.parse(&body); err != nil {
		return answer{}, err
	}
	before, err := h.Runs.Get(ctx, c.ID)
	if err != nil {
		return answer{}, err
	}
	if err := unheeded(c.body, before, "isArchiveEnabled"); err != nil {
		return answer{}, err
	}
	if body.IsArchiveEnabled == nil {
		return answer{status: http.StatusOK, body: before}, nil
	}
	r, err := h.Runs.SetArchived(ctx, c.ID, *body.IsArchiveEnabled, c.Now)
	return answer{status: http.StatusOK, body: r}, err
}

func (h handlers) cancelRun(ctx context.Context, c *Call) (any, error) {
	return answer{status: http.StatusOK}, h.Runs.Cancel(ctx, c.ID, c.Now)
}

func (h handlers) logURL(ctx context.Context, c *Call) (any, error) {
	r, err := h.Runs.Get(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	link := h.LogURL(r.ID.Parent().String(), r.Properties.RunID, c.Caller.ObjectID, c.Now)
	return map[string]string{"logLink": link}, nil
}

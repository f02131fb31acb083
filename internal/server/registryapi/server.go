// Package registryapi is the host of a registry, NAME.azurecr.DOMAIN: the OCI
// distribution API under /v2/, the token service under /oauth2/, and ACR's metadata
// API under /acr/v1/.
//
//	Host ─▶ registry ─▶ path (parsed from the right) ─▶ token ─▶ access ─▶ handler
//
// A token alone opens nothing: for every request rbac is asked whether its principal
// may still do what the request takes. So a role assignment counts from the next
// request on, and so does its removal.
package registryapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/registry/repotoken"
)

// Runs tells whether a run is being executed.
type Runs interface {
	Active(ctx context.Context, runKey string) (bool, error)
}

// Server serves the hosts of all registries. Its fields are set once.
type Server struct {
	Log        *slog.Logger
	Registries *registry.Registries
	Content    *registry.Content
	Trash      registry.Trash
	Purger     *collect.Purger
	Pulls      *registry.PullCounter
	Issuer     *token.Issuer
	Checker    *rbac.Checker
	Directory  *identity.Directory
	Runs       Runs
	// Tokens are the repository-scoped tokens.
	Tokens *repotoken.Tokens
	// Guesses counts wrong passwords.
	Guesses *signin.Guesses
	// Limiter bounds how many requests there are; nil does not.
	Limiter *Limiter
	// Audiences are those of identity tokens that may be exchanged.
	Audiences []string
}

// call is a request on its way.
type call struct {
	*http.Request
	server   *Server
	w        http.ResponseWriter
	req      request
	resource arm.Resource[registry.Properties] // the registry
	name     string                            // of the registry, in lower case
	host     string                            // as the client spelled it, with port
	subject  token.Subject
	granted  []oci.Access     // what the token covers; nil without one
	scope    *repotoken.Grant // of the repository-scoped token, once it was read for this request
	now      time.Time
}

// repository is the repository of the request.
func (c *call) repository() registry.Name {
	return registry.Name{Registry: c.name, Repository: c.req.Repository}
}

// actor is who did it, for events.
func (c *call) actor() string {
	switch {
	case c.subject.Run != "":
		return c.subject.Run
	case c.subject.Admin != "":
		return c.resource.ID.Name() // the admin user's name
	case c.subject.Token != "":
		return c.subject.Token
	}
	return string(c.subject.Principal)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	c := &call{Request: r, server: s, w: w, req: parse(r.URL.Path), host: r.Host, now: time.Now()}
	if err := s.serve(c); err != nil {
		c.fail(c.withTags(err))
	}
}

func (s *Server) serve(c *call) error {
	ctx := c.Context()
	reg, err := s.Registries.ByHost(ctx, c.host)
	if errors.Is(err, resource.ErrNotFound) {
		return errNoRegistry
	}
	if err != nil {
		return err
	}
	c.resource, c.name = reg, registry.ContentName(reg.ID)
	switch c.req.Kind {
	case exchange:
		return c.exchange()
	case tokens:
		return c.token()
	case unknown:
		if strings.HasPrefix(c.URL.Path, "/helm/") {
			return problem.New(problem.NotAllowed, "UNSUPPORTED", "repositories of Helm 2 (%s) are not available in this version of Acrux; Helm 3 keeps charts as images do: helm push CHART oci://%s/helm", c.URL.Path, c.host)
		}
		return problem.New(problem.NotFound, "NOT_FOUND", "the path is not served by this registry")
	}
	if name := c.req.Repository; name != "" && !oci.ValidRepository(name) {
		return problem.New(problem.Invalid, "NAME_INVALID", "invalid repository name %q", name).On(name)
	}
	if err := c.authorize(); err != nil {
		return err
	}
	if err := c.limit(c.subject); err != nil {
		return err
	}
	return c.dispatch()
}

var errNoRegistry = problem.New(problem.NotFound, "NAME_UNKNOWN", "there is no registry of that name here")

// route is a kind of request and its method.
type route struct {
	kind   kind
	method string
}

// handlers are the table of what a registry can do.
var handlers = map[route]func(*call) error{
	{base, http.MethodGet}:             (*call).hello,
	{catalog, http.MethodGet}:          (*call).listRepositories,
	{tagList, http.MethodGet}:          (*call).listTags,
	{manifest, http.MethodGet}:         (*call).getManifest,
	{manifest, http.MethodPut}:         (*call).putManifest,
	{manifest, http.MethodDelete}:      (*call).deleteManifest,
	{blobContent, http.MethodGet}:      (*call).getBlob,
	{blobContent, http.MethodDelete}:   (*call).deleteBlob,
	{uploadStart, http.MethodPost}:     (*call).startUpload,
	{upload, http.MethodGet}:           (*call).uploadStatus,
	{upload, http.MethodPatch}:         (*call).appendUpload,
	{upload, http.MethodPut}:           (*call).finishUpload,
	{upload, http.MethodDelete}:        (*call).cancelUpload,
	{referrers, http.MethodGet}:        (*call).listReferrers,
	{acrCatalog, http.MethodGet}:       (*call).listRepositories,
	{acrRepository, http.MethodGet}:    (*call).showRepository,
	{acrRepository, http.MethodDelete}: (*call).deleteRepository,
	{acrTags, http.MethodGet}:          (*call).showTags,
	{acrTag, http.MethodGet}:           (*call).showTag,
	{acrTag, http.MethodDelete}:        (*call).deleteTag,
	{acrManifests, http.MethodGet}:     (*call).showManifests,
	{acrManifest, http.MethodGet}:      (*call).showManifest,
	{acrRepository, http.MethodPatch}:  (*call).updateAttributes,
	{acrTag, http.MethodPatch}:         (*call).updateAttributes,
	{acrManifest, http.MethodPatch}:    (*call).updateAttributes,
	{acrPurge, http.MethodPost}:        (*call).purge,
	{deletedCatalog, http.MethodGet}:   (*call).listDeletedRepositories,
	{deletedTags, http.MethodGet}:      (*call).showDeletedTags,
	{deletedManifests, http.MethodGet}: (*call).showDeletedManifests,
	{deletedManifest, http.MethodPost}: (*call).restore,
}

func (c *call) dispatch() error {
	method := c.Method
	if method == http.MethodHead {
		method = http.MethodGet // the server leaves the body out
	}
	handle, ok := handlers[route{c.req.Kind, method}]
	if !ok {
		return problem.New(problem.NotAllowed, "UNSUPPORTED", "the operation is unsupported")
	}
	return handle(c)
}

func (c *call) hello() error {
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = c.w.Write([]byte("{}")) // the client is gone if this fails
	return nil
}

// rbacActions say which action of a role each access takes. Whoever may pull may
// also see what there is to pull.
var rbacActions = map[oci.Action][]string{
	oci.Pull:          {rbac.ActionPull},
	oci.Push:          {rbac.ActionPush},
	oci.Delete:        {rbac.ActionDelete},
	oci.MetadataRead:  {rbac.ActionMetadataRead, rbac.ActionPull},
	oci.MetadataWrite: {rbac.ActionMetadataWrite},
	oci.Catalog:       {rbac.ActionCatalog},

	oci.DeletedRead:    {rbac.ActionDeletedRead},
	oci.DeletedRestore: {rbac.ActionRestore},
}

// check asks whether the subject may do the action on this registry now: nil, or the
// denial as a problem. Some may do in one repository what they may not in another: on is
// the repository, or the catalogue.
func (c *call) check(subject token.Subject, action oci.Action, on string) error {
	actions, ok := rbacActions[action]
	switch {
	case !ok:
		return problem.New(problem.Denied, "DENIED", "the action '%s' is not known", action)
	case subject.Run != "":
		return c.checkRun(subject.Run)
	case subject.Admin != "":
		return c.checkAdmin(subject.Admin)
	case subject.Token != "":
		return c.checkScoped(subject, action, on)
	case subject.Anonymous():
		return c.checkAnonymous(action)
	}
	var denied rbac.Decision
	for i, name := range actions {
		d, err := c.server.Checker.Check(c.Context(), subject.Principal, name, c.resource.ID)
		if err != nil {
			return err
		}
		if d.Allowed {
			return nil
		}
		if i == len(actions)-1 {
			denied = d
		}
	}
	p := problem.New(problem.Denied, "DENIED", "requested access to the resource is denied: %s", denied.Explain())
	return p.Hint("%s", denied.Fix())
}

// checkRun lets a run do everything with the content of its own registry, as tasks may in
// Azure, for as long as it is active.
func (c *call) checkRun(run string) error {
	id, err := arm.ParseID(run)
	if err != nil {
		return err
	}
	active, err := c.server.Runs.Active(c.Context(), run)
	switch {
	case err != nil:
		return err
	case !id.Parent().Equal(c.resource.ID):
		return problem.New(problem.Denied, "DENIED", "run '%s' has no rights on registry '%s', which is not its own", id.Name(), c.resource.ID.Name())
	case !active:
		return problem.New(problem.Denied, "DENIED", "run '%s' is over, and its right to use registry '%s' with it", id.Name(), c.resource.ID.Name())
	}
	return nil
}

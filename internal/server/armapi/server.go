// Package armapi is the management host: Azure Resource Manager's API over the
// providers of the resource types.
//
// Resource types are mounted, actions are added to them; from these registrations
// come routing, the action that rbac is asked for, the check of api-versions and the
// listing of providers. A request goes one way:
//
//	path ─▶ target (an arm.ID, perhaps a list or an action) ─▶ caller ─▶ rbac.Check ─▶ provider
//
// rbac is asked here and nowhere else: providers never know who is calling, except
// to record it.
package armapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/disk"
	"github.com/acrux/acrux/internal/server/edge"
)

// Endpoints are the public addresses of the installation, without trailing slashes.
type Endpoints struct {
	Management string
	Login      string
	Graph      string
	ACRSuffix  string // "azurecr.DOMAIN:PORT"
	Vault      string // "vault.DOMAIN:PORT"
	Storage    string // "DOMAIN:PORT"
}

// Server is the management host. Set its fields and mount everything before the
// first request.
type Server struct {
	Log          *slog.Logger
	Issuer       *token.Issuer
	Checker      *rbac.Checker
	Directory    *identity.Directory
	Documents    resource.Store
	Endpoints    Endpoints
	Subscription string
	Location     string // of the installation, for lists of locations
	// Reserve is what new resources leave of the disk; nil is nothing.
	Reserve *disk.Reserve

	services Services
	kinds    map[string]*kind // by arm.Kind.Key()
	ordered  []*kind
}

// kind is a mounted resource type.
type kind struct {
	arm.Kind
	prefix  string // of rbac actions
	oldest  string // oldest api-version
	tagged  bool   // its resources have tags
	get     func(ctx context.Context, c *Call) (any, error)
	list    func(ctx context.Context, c *Call, q resource.Query) (part, error) // of N entries at most
	put     func(ctx context.Context, c *Call) (answer, error)
	patch   func(ctx context.Context, c *Call) (answer, error)
	delete  func(ctx context.Context, c *Call) (answer, error)
	actions map[string]action // by lower-case name
}

type action struct {
	name   string
	method string
	fn     func(ctx context.Context, c *Call) (any, error)
}

// permission is the rbac action that an action takes.
func (a action) permission(k *kind) string {
	if a.method == http.MethodGet {
		return k.prefix + "/" + a.name + "/read"
	}
	return k.prefix + "/" + a.name + "/action"
}

// answer is what a write answers.
type answer struct {
	status int
	header http.Header
	body   any
}

// Call is a request on its way: parsed, authenticated and authorised.
type Call struct {
	Request *http.Request
	ID      arm.ID // the resource, or for a list the scope
	Caller  token.Caller
	Now     time.Time
	Header  http.Header // of the answer

	body   []byte
	server *Server
}

// Query returns a parameter of the query.
func (c *Call) Query(name string) string { return c.Request.URL.Query().Get(name) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ans, err := s.serve(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	render(w, ans)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (answer, error) {
	if strings.EqualFold(strings.Trim(r.URL.Path, "/"), "metadata/endpoints") {
		return s.metadata(r)
	}
	caller, err := s.authenticate(r)
	if err != nil {
		return answer{}, err
	}
	edge.SignedIn(r.Context())
	c := &Call{Request: r, Caller: caller, Now: time.Now(), Header: http.Header{}, server: s}
	if err := c.readBody(w); err != nil {
		return answer{}, err
	}
	ans, err := s.route(r.Context(), c)
	for name, values := range c.Header {
		w.Header()[name] = values
	}
	return ans, err
}

// publicAudiences are Azure's own names for the audience of Resource Manager, which
// some clients ask for whatever cloud they are pointed at.
var publicAudiences = []string{"https://management.azure.com", "https://management.core.windows.net"}

// Audiences are those for which an identity token opens the management host.
func (s *Server) Audiences() []string {
	return append([]string{s.Endpoints.Management}, publicAudiences...)
}

func (s *Server) authenticate(r *http.Request) (token.Caller, error) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return token.Caller{}, problem.New(problem.Unauthenticated, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
	}
	caller, err := s.Issuer.VerifyIdentity(r.Context(), text, s.Audiences())
	switch {
	case errors.Is(err, token.ErrExpired):
		return caller, problem.New(problem.Unauthenticated, "ExpiredAuthenticationToken", "The access token has expired.").Because(err)
	case errors.Is(err, token.ErrWrongAudience):
		return caller, problem.New(problem.Unauthenticated, "InvalidAuthenticationTokenAudience", "The access token was issued for another audience than %s.", s.Endpoints.Management).Because(err)
	case token.Refused(err):
		return caller, problem.New(problem.Unauthenticated, "InvalidAuthenticationToken", "The access token is invalid.").Because(err)
	case err != nil:
		return caller, err
	}
	return caller, s.enabled(r.Context(), caller)
}

// enabled refuses those who were disabled or deleted since they got their token, also where
// no right is asked for.
func (s *Server) enabled(ctx context.Context, caller token.Caller) error {
	p, err := s.Directory.Principal(ctx, caller.ObjectID)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return problem.New(problem.Unauthenticated, "InvalidAuthenticationToken",
			"The principal of the access token was deleted.").Because(err)
	case err == nil && p.Disabled:
		return problem.New(problem.Denied, "AuthorizationFailed", "The principal '%s' (%s) is disabled.", p.DisplayName, p.ObjectID)
	}
	return err
}

// allow returns the denial as a problem, or nil.
func (s *Server) allow(ctx context.Context, c *Call, action string, scope arm.ID) error {
	d, err := s.Checker.Check(ctx, c.Caller.ObjectID, action, scope)
	if err != nil {
		return err
	}
	if !d.Allowed {
		return d.Problem()
	}
	return nil
}

// Allow is for actions that touch another resource than their own.
func (c *Call) Allow(ctx context.Context, action string, scope arm.ID) error {
	return c.server.allow(ctx, c, action, scope)
}

// route finds what the path means and does it.
func (s *Server) route(ctx context.Context, c *Call) (answer, error) {
	segments := strings.FieldsFunc(c.Request.URL.Path, func(r rune) bool { return r == '/' })
	if err := s.belowRegistry(segments); err != nil {
		return answer{}, err
	}
	if scope, rest, ok := authorizationPath(segments); ok {
		return s.authorization(ctx, c, scope, rest)
	}
	if scope, ok := tagsPath(segments); ok {
		return s.tags(ctx, c, scope)
	}
	if ans, ok, err := s.subscriptions(ctx, c, segments); ok {
		return ans, err
	}
	t, err := s.target(segments, c.Request.Method)
	if err != nil {
		return answer{}, err
	}
	return s.perform(ctx, c, t)
}

// target is what a path names: a resource, a list of resources below a scope, or an
// action of a resource.
type target struct {
	id     arm.ID
	kind   *kind
	list   bool
	action string
}

func (s *Server) target(segments []string, method string) (target, error) {
	path := strings.Join(segments, "/")
	if k, ok := extension(segments); ok {
		if _, served := s.kinds[k.Key()]; served && isProviders(segments[0]) {
			return target{}, notRouted(path) // it is there, below a group
		}
		return target{}, unknownType(k)
	}
	if id, err := arm.ParseID(path); err == nil && id.Namespace != "" {
		k, err := s.kind(id.Kind())
		if id.Group == "" && err == nil {
			err = notRouted(path) // there are no resources outside of groups
		}
		return target{id: id, kind: k}, err
	}
	if len(segments) < 2 {
		return target{}, notRouted(path)
	}
	last, above := segments[len(segments)-1], segments[:len(segments)-1]
	// A type below a resource, or a namespace and type below a scope: a list.
	if id, ns, ok := splitList(above); ok {
		listed := arm.Kind{Namespace: ns, Types: append(append([]string(nil), id.Types...), last)}
		k, known := s.kinds[listed.Key()]
		if known && method == http.MethodGet {
			return target{id: id, kind: k, list: true}, nil
		}
		if len(id.Types) == 0 {
			return target{}, unknownType(listed)
		}
		k, err := s.kind(id.Kind())
		if err == nil && method == http.MethodGet && k.actions[strings.ToLower(last)].fn == nil {
			err = unknownType(listed)
		}
		return target{id: id, kind: k, action: last}, err
	}
	scope, err := arm.ParseID(strings.Join(above, "/"))
	switch {
	case err != nil || method != http.MethodPost || scope.IsRoot():
		return target{}, notRouted(path)
	case scope.Group == "":
		return target{}, noOperation(last, arm.NewKind("Microsoft.Resources/subscriptions"))
	}
	return target{}, noOperation(last, groupKind)
}

// extension is the type of what hangs on another resource or on the tenant: of
// /…/registries/R/providers/Microsoft.Insights/diagnosticSettings/D that of the settings.
// The types of this kind that are there have routes of their own.
func extension(segments []string) (arm.Kind, bool) {
	first := slices.IndexFunc(segments, isProviders)
	at := first
	switch {
	case first == 2 || first == 4: // of a subscription or a group
		at = nested(segments, first+2)
	case first != 0:
		return arm.Kind{}, false
	}
	if at < 0 || at+2 >= len(segments) {
		return arm.Kind{}, false
	}
	k := arm.Kind{Namespace: segments[at+1]}
	if at == first+2 { // Microsoft.Features tells of other services: its own name counts
		k.Namespace = segments[first+1]
	}
	for i := at + 2; i < len(segments); i += 2 {
		k.Types = append(k.Types, segments[i])
	}
	return k, true
}

func isProviders(segment string) bool { return strings.EqualFold(segment, "providers") }

// nested is the place of the next "providers" among the types that begin at a place: a
// resource may have that name. It is -1 if there is none.
func nested(segments []string, from int) int {
	for i := from; i < len(segments); i += 2 {
		if isProviders(segments[i]) {
			return i
		}
	}
	return -1
}

// splitList reads the path in front of the last segment: a resource, or a scope
// followed by "providers" and a namespace.
func splitList(above []string) (arm.ID, string, bool) {
	id, err := arm.ParseID(strings.Join(above, "/"))
	if err == nil && id.Namespace != "" {
		return id, id.Namespace, true
	}
	n := len(above)
	if n >= 2 && strings.EqualFold(above[n-2], "providers") {
		scope, err := arm.ParseID(strings.Join(above[:n-2], "/"))
		return scope, above[n-1], err == nil
	}
	return arm.ID{}, "", false
}

func (s *Server) kind(k arm.Kind) (*kind, error) {
	if found, ok := s.kinds[k.Key()]; ok {
		return found, nil
	}
	return nil, unknownType(k)
}

func unknownType(k arm.Kind) error {
	if len(k.Types) == 0 {
		k.Types = []string{"*"}
	}
	if len(k.Namespace) > len(azure) && strings.EqualFold(k.Namespace[:len(azure)], azure) {
		return problem.New(problem.Unsupported, "NotImplemented", "The resource type '%s' is not available in this version of Acrux.", k)
	}
	return problem.New(problem.NotFound, "InvalidResourceNamespace", "The resource namespace '%s' is not served here.", k.Namespace)
}

// azure begins the names of Azure's own services. Those that are not there are refused as
// what is missing here; what nobody has is not found.
const azure = "Microsoft."

// servedNamespaces are those whose further types are known and not done yet.
var servedNamespaces = []string{"Microsoft.ContainerRegistry", "Microsoft.ManagedIdentity", "Microsoft.Resources", "Microsoft.KeyVault", "Microsoft.Authorization"}

func notRouted(path string) error {
	return problem.New(problem.NotFound, "NotFound", "The path '/%s' names nothing that is served here.", path)
}

// perform authorises and does what the target says.
func (s *Server) perform(ctx context.Context, c *Call, t target) (answer, error) {
	if err := arm.CheckVersion(c.Query("api-version"), t.kind.oldest); err != nil {
		return answer{}, err
	}
	c.ID = t.id
	if !strings.EqualFold(t.id.Subscription, s.Subscription) {
		return answer{}, noSubscription(t.id.Subscription)
	}
	switch {
	case t.list:
		return s.list(ctx, c, t.kind)
	case t.action != "":
		return s.act(ctx, c, t)
	}
	return s.resource(ctx, c, t.kind)
}

// verbs are the words of rbac actions for methods on resources.
var verbs = map[string]string{http.MethodGet: "read", http.MethodPut: "write", http.MethodPatch: "write", http.MethodDelete: "delete"}

func (s *Server) resource(ctx context.Context, c *Call, k *kind) (answer, error) {
	method := c.Request.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	verb, ok := verbs[method]
	if !ok {
		return answer{}, notAllowed(method, k.Kind)
	}
	if err := s.allow(ctx, c, k.prefix+"/"+verb, c.ID); err != nil {
		return answer{}, err
	}
	if method == http.MethodPut {
		if err := s.Reserve.Last(); err != nil {
			return answer{}, err
		}
	}
	switch {
	case method == http.MethodGet && k.get != nil:
		body, err := k.get(ctx, c)
		return answer{status: http.StatusOK, body: body}, err
	case method == http.MethodPut && k.put != nil:
		return k.put(ctx, c)
	case method == http.MethodPatch && k.patch != nil:
		return k.patch(ctx, c)
	case method == http.MethodDelete && k.delete != nil:
		return k.delete(ctx, c)
	}
	return answer{}, notAllowed(method, k.Kind)
}

func notAllowed(method string, k arm.Kind) error {
	return problem.New(problem.NotAllowed, "MethodNotAllowed", "The method %s is not allowed on '%s'.", method, k)
}

// list answers with a part of those resources that the caller may read, all of which have
// the terms. Who may not read at the scope itself still sees what was given to him below it.
func (s *Server) list(ctx context.Context, c *Call, k *kind, terms ...resource.Term) (answer, error) {
	p, err := c.paging()
	if err != nil {
		return answer{}, err
	}
	q := resource.Query{Scope: c.ID, Kind: k.Kind, Terms: terms, Page: resource.Page{After: p.after, N: p.length}}
	denied := s.allow(ctx, c, k.prefix+"/read", c.ID)
	if denied != nil {
		if !problem.Is(denied, problem.Denied) {
			return answer{}, denied
		}
		if q.Only, err = s.Checker.Where(ctx, c.Caller.ObjectID, k.prefix+"/read", c.ID); err != nil {
			return answer{}, err
		}
		if len(q.Only) == 0 {
			return answer{}, denied
		}
	}
	found, err := k.list(ctx, c, q)
	switch {
	case problem.Is(err, problem.NotFound) && denied != nil:
		return answer{}, denied // he need not know what is there
	case err != nil:
		return answer{}, err
	case denied != nil && len(found.values) == 0 && found.next == "" && p.after == "":
		return answer{}, denied
	}
	return c.page(p, found), nil
}

func (s *Server) act(ctx context.Context, c *Call, t target) (answer, error) {
	a, ok := t.kind.actions[strings.ToLower(t.action)]
	if !ok {
		return answer{}, noOperation(t.action, t.kind.Kind)
	}
	if c.Request.Method != a.method {
		return answer{}, notAllowed(c.Request.Method, t.kind.Kind)
	}
	if err := s.allow(ctx, c, a.permission(t.kind), c.ID); err != nil {
		return answer{}, err
	}
	body, err := a.fn(ctx, c)
	if err != nil {
		return answer{}, err
	}
	if ready, ok := body.(answer); ok {
		return ready, nil
	}
	return answer{status: http.StatusOK, body: body}, nil
}

func noOperation(name string, k arm.Kind) error {
	return problem.New(problem.Unsupported, "NotImplemented", "The operation '%s' on '%s' is not available in this version of Acrux.", name, k)
}

func noSubscription(id string) error {
	return problem.New(problem.NotFound, "SubscriptionNotFound", "The subscription '%s' could not be found.", id)
}

package armapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

// Options are what types differ in on the wire.
type Options struct {
	// OldestVersion is the oldest date of an api-version.
	OldestVersion string
	// CreatedIsOK answers 200 where others answer 201 for a new resource: the stock
	// CLI takes nothing else for tasks.
	CreatedIsOK bool
	// KeepNulls ignores null members of a PATCH instead of removing what they name.
	KeepNulls bool
	// Actions is what rbac actions on the type begin with, where it is not the type.
	Actions string
	// Leaving reports whether a resource that was deleted is still on its way out: a DELETE
	// then answers 202, and tells where clients see when it is gone. Nil: nothing lingers.
	Leaving func(ctx context.Context, id arm.ID) (bool, error)
}

// Mount serves a resource type with its provider.
func Mount[P any](s *Server, k arm.Kind, provider resource.Provider[P], opts Options) {
	m := mounted[P]{kind: k, provider: provider, opts: opts, server: s}
	s.add(&kind{Kind: k, prefix: opts.Actions, oldest: opts.OldestVersion, tagged: true, actions: map[string]action{},
		get: m.get, list: m.list, put: m.put, patch: m.patch, delete: m.delete})
}

// Action adds an action, a POST below a resource, to a mounted type.
func Action(s *Server, k arm.Kind, name string, fn func(ctx context.Context, c *Call) (any, error)) {
	s.kinds[k.Key()].actions[strings.ToLower(name)] = action{name: name, method: http.MethodPost, fn: fn}
}

// bare is for an action that takes nothing but its name: a body that asks for something is
// refused.
func bare(fn actionFunc) actionFunc {
	return func(ctx context.Context, c *Call) (any, error) {
		if len(c.body) > 0 {
			if err := checkMembers(c.body, struct{}{}); err != nil {
				return nil, err
			}
		}
		return fn(ctx, c)
	}
}

// Reading adds an action that is a GET, as a few of Azure's are.
func Reading(s *Server, k arm.Kind, name string, fn func(ctx context.Context, c *Call) (any, error)) {
	s.kinds[k.Key()].actions[strings.ToLower(name)] = action{name: name, method: http.MethodGet, fn: fn}
}

func (s *Server) add(k *kind) {
	if s.kinds == nil {
		s.kinds = map[string]*kind{}
	}
	if k.prefix == "" {
		k.prefix = k.String()
	}
	s.kinds[k.Key()] = k
	s.ordered = append(s.ordered, k)
}

// mounted adapts a typed provider to requests.
type mounted[P any] struct {
	kind     arm.Kind
	provider resource.Provider[P]
	opts     Options
	server   *Server
}

func (m mounted[P]) get(ctx context.Context, c *Call) (any, error) {
	res, err := m.provider.Get(ctx, c.ID)
	c.tag(res.ETag)
	c.pend(res.Properties)
	return res, err
}

// pend tells clients that wait for a resource when to look again.
func (c *Call) pend(properties any) {
	if p, ok := properties.(interface{ Pending() bool }); ok && p.Pending() {
		c.Header.Set("Retry-After", retryAfter)
	}
}

func (c *Call) tag(etag string) {
	if etag != "" {
		c.Header.Set("ETag", etag)
	}
}

func (m mounted[P]) list(ctx context.Context, _ *Call, q resource.Query) (part, error) {
	length := q.N
	q.N++ // tells whether there are more
	all, err := m.provider.List(ctx, q)
	return cut(all, length, func(res arm.Resource[P]) string { return res.ID.Key() }), err
}

// request is the body of a PUT or PATCH.
type request[P any] struct {
	Location   string              `json:"location"`
	Tags       map[string]string   `json:"tags"`
	SKU        *arm.SKU            `json:"sku"`
	Identity   *arm.IdentityChange `json:"identity"`
	Properties P                   `json:"properties"`
	echo
}

// echo are members that only answers have and that clients send back. What they may say in
// a PUT is checked by matches, and in a PATCH by unheeded.
type echo struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	ETag       any    `json:"etag"`
	SystemData any    `json:"systemData"`
}

// matches refuses a body that is about another resource than the path.
func (e echo) matches(k arm.Kind, id arm.ID) error {
	given, err := arm.ParseID(e.ID)
	switch {
	case e.ID != "" && (err != nil || !given.Equal(id)):
		return mismatch("id", e.ID)
	case e.Name != "" && !strings.EqualFold(e.Name, id.Name()):
		return mismatch("name", e.Name)
	case e.Type != "" && !strings.EqualFold(e.Type, k.String()):
		return mismatch("type", e.Type)
	}
	return nil
}

func mismatch(member, value string) error {
	return problem.New(problem.Invalid, "InvalidRequestContent",
		"The member '%s' of the request is '%.300s', which is not that of the resource in the URL.", member, value).On(member)
}

func (m mounted[P]) put(ctx context.Context, c *Call) (answer, error) {
	var req request[P]
	if err := c.Decode(&req); err != nil {
		return answer{}, err
	}
	if err := req.matches(m.kind, c.ID); err != nil {
		return answer{}, err
	}
	head := c.Request.Header
	return m.write(ctx, c, req, condition{etag: head.Get("If-Match"), absent: head.Get("If-None-Match") == "*"}, m.createdStatus())
}

// condition is what a request wants the resource to be before it is written.
type condition struct {
	etag   string // empty: any
	absent bool
}

func (m mounted[P]) createdStatus() int {
	if m.opts.CreatedIsOK {
		return http.StatusOK
	}
	return http.StatusCreated
}

func (m mounted[P]) write(ctx context.Context, c *Call, req request[P], want condition, createdStatus int) (answer, error) {
	if err := checkTags(req.Tags); err != nil {
		return answer{}, err
	}
	if req.Identity.Silent() {
		req.Identity = nil
	} else {
		if err := m.mayAssign(ctx, c, req.Identity); err != nil {
			return answer{}, err
		}
	}
	res, created, err := m.provider.Put(ctx, resource.Put[P]{ID: c.ID, Location: req.Location, Tags: req.Tags, SKU: req.SKU, Identity: req.Identity,
		Properties: req.Properties, IfMatch: want.etag, IfAbsent: want.absent, Caller: string(c.Caller.ObjectID), Now: c.Now})
	if err != nil {
		return answer{}, err
	}
	c.tag(res.ETag)
	c.pend(res.Properties)
	status := http.StatusOK
	if created {
		status = createdStatus
	}
	return answer{status: status, body: res}, nil
}

// mayAssign checks that the caller may use the user-assigned identities he wants the
// resource to have. Without this, whoever may write a task could act as anyone.
func (m mounted[P]) mayAssign(ctx context.Context, c *Call, change *arm.IdentityChange) error {
	have := map[string]bool{}
	if old, err := m.provider.Get(ctx, c.ID); err == nil {
		for _, id := range old.Identity.UserIDs() {
			// An identity that was deleted and made anew is another one.
			_, gone := m.server.Directory.Principal(ctx, identity.ObjectID(old.Identity.User[id].PrincipalID))
			have[strings.ToLower(id)] = gone == nil
		}
	}
	for _, text := range change.Assign {
		id, err := arm.ParseID(text)
		if err != nil || have[strings.ToLower(text)] {
			continue // the provider says what is wrong with an ID
		}
		if err := m.server.allow(ctx, c, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", id); err != nil {
			return err
		}
	}
	return nil
}

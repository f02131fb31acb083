// Package graphapi is the corner of the directory API that clients need: who is who,
// and the making and removing of applications, their credentials, service principals
// and users (az-wire, section 13).
//
// Whoever is signed in may read. Writing is for those who may give rights anyway: see
// rights.go.
package graphapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/disk"
	"github.com/acrux/acrux/internal/server/edge"
)

// Server is the graph host.
type Server struct {
	Log          *slog.Logger
	Issuer       *token.Issuer
	Directory    *identity.Directory
	Checker      *rbac.Checker
	URL          string // https://graph.DOMAIN:PORT, the audience of its tokens
	TenantID     string
	Subscription string // who may assign roles there may write
	// Reserve is what new objects leave of the disk; nil is nothing.
	Reserve *disk.Reserve
}

// call is a request on its way: its caller is known.
type call struct {
	*http.Request
	server *Server
	caller identity.Principal
	now    time.Time
	base   string // URL up to the version
	id     string // the object the path names
	below  string // what is named below it
}

type answer struct {
	status int
	body   any // nil: none
}

func ok(body any) answer      { return answer{http.StatusOK, body} }
func created(body any) answer { return answer{http.StatusCreated, body} }

var done = answer{status: http.StatusNoContent}

// routes are what is served, by method and path below the version. A * stands for an
// ID, or for the name of what is below one.
var routes = map[string]func(*call) (answer, error){
	"GET me":                                               (*call).me,
	"GET me/ownedobjects":                                  (*call).owned,
	"POST directoryobjects/getbyids":                       (*call).byIDs,
	"GET directoryobjects/*":                               (*call).object,
	"GET serviceprincipals":                                (*call).listPrincipals,
	"POST serviceprincipals":                               grows((*call).newPrincipal),
	"GET serviceprincipals/*":                              (*call).onePrincipal,
	"PATCH serviceprincipals/*":                            (*call).patchPrincipal,
	"DELETE serviceprincipals/*":                           (*call).deletePrincipal,
	"GET serviceprincipals/*/owners":                       (*call).principalOwners,
	"POST serviceprincipals/*/addpassword":                 func(c *call) (answer, error) { return c.addPassword(c.appOfPrincipal) },
	"POST serviceprincipals/*/removepassword":              func(c *call) (answer, error) { return c.removePassword(c.appOfPrincipal) },
	"GET applications":                                     (*call).listApplications,
	"POST applications":                                    grows((*call).newApplication),
	"GET applications/*":                                   (*call).oneApplication,
	"PATCH applications/*":                                 (*call).patchApplication,
	"DELETE applications/*":                                (*call).deleteApplication,
	"GET applications/*/owners":                            (*call).applicationOwners,
	"POST applications/*/addpassword":                      func(c *call) (answer, error) { return c.addPassword(c.application) },
	"POST applications/*/removepassword":                   func(c *call) (answer, error) { return c.removePassword(c.application) },
	"GET applications/*/federatedidentitycredentials":      (*call).listTrusts,
	"POST applications/*/federatedidentitycredentials":     grows((*call).newTrust),
	"GET applications/*/federatedidentitycredentials/*":    (*call).oneTrust,
	"PATCH applications/*/federatedidentitycredentials/*":  (*call).patchTrust,
	"DELETE applications/*/federatedidentitycredentials/*": (*call).deleteTrust,
	"GET users":      (*call).listUsers,
	"POST users":     grows((*call).newUser),
	"GET users/*":    (*call).oneUser,
	"PATCH users/*":  (*call).patchUser,
	"DELETE users/*": (*call).deleteUser,
}

// grows refuses what a handler would add when the disk has no more than what deletions take.
func grows(handle func(*call) (answer, error)) func(*call) (answer, error) {
	return func(c *call) (answer, error) {
		if err := c.server.Reserve.Last(); err != nil {
			return answer{}, err
		}
		return handle(c)
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a, err := s.serve(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	write(w, a)
}

func (s *Server) serve(r *http.Request) (answer, error) {
	caller, err := s.authenticate(r)
	if err != nil {
		return answer{}, err
	}
	edge.SignedIn(r.Context())
	c := &call{Request: r, server: s, caller: caller, now: time.Now()}
	handler := c.route()
	if handler == nil {
		return answer{}, problem.New(problem.Unsupported, "NotImplemented", "%s %s is not available in this version of Acrux.", r.Method, r.URL.Path)
	}
	return handler(c)
}

// publicAudiences are Azure's own names for the audience of the directory.
var publicAudiences = []string{"https://graph.microsoft.com", "https://graph.windows.net"}

// authenticate returns who calls. A token lives on for a while when its principal is
// deleted or disabled, so the directory is asked as well.
func (s *Server) authenticate(r *http.Request) (identity.Principal, error) {
	refuse := func(message string, cause error) error {
		return problem.New(problem.Unauthenticated, "InvalidAuthenticationToken", "%s", message).Because(cause)
	}
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return identity.Principal{}, refuse("Access token is empty.", nil)
	}
	caller, err := s.Issuer.VerifyIdentity(r.Context(), text, append([]string{s.URL}, publicAudiences...))
	switch {
	case errors.Is(err, token.ErrExpired):
		return identity.Principal{}, refuse("Lifetime validation failed, the token is expired.", err)
	case errors.Is(err, token.ErrWrongAudience):
		return identity.Principal{}, refuse("Access token validation failure. Invalid audience.", err)
	case token.Refused(err):
		return identity.Principal{}, refuse("Access token validation failure.", err)
	case err != nil:
		return identity.Principal{}, err
	}
	p, err := s.Directory.Principal(r.Context(), caller.ObjectID)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return p, refuse("The principal of the access token was deleted.", err)
	case err == nil && p.Disabled:
		return p, refuse("The principal of the access token is disabled.", nil)
	}
	return p, err
}

// route finds the handler of a path, nil if there is none. Paths look like
// /v1.0/users/X/name, or /v1.0/users('X') and /v1.0/applications(appId='X').
func (c *call) route() func(*call) (answer, error) {
	segments := strings.FieldsFunc(c.URL.Path, func(r rune) bool { return r == '/' })
	if len(segments) < 2 || segments[0] != "v1.0" && segments[0] != "beta" {
		return nil
	}
	c.base = c.server.URL + "/" + segments[0]
	segments = segments[1:]
	if name, key, found := strings.Cut(segments[0], "("); found {
		key = strings.Replace(strings.TrimSuffix(key, ")"), "appid=", "appId=", 1)
		segments = append([]string{name, strings.ReplaceAll(key, "'", "")}, segments[1:]...)
	}
	pattern := []string{}
	for i, segment := range segments {
		if i%2 == 1 && pattern[0] != "me" && !(pattern[0] == "directoryobjects" && strings.EqualFold(segment, "getByIds")) {
			segment = "*"
		}
		pattern = append(pattern, strings.ToLower(segment))
	}
	if len(segments) > 1 {
		c.id = segments[1]
	}
	if len(segments) > 3 {
		c.below = segments[3]
	}
	return routes[c.Method+" "+strings.Join(pattern, "/")]
}

// fail renders an error as the directory does.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	id := w.Header().Get("x-ms-request-id")
	if p.Kind.Ours() {
		if r.Context().Err() != nil {
			return // the client is gone
		}
		s.Log.Error("request failed", "id", id, "method", r.Method, "path", r.URL.Path, "err", err)
	}
	if p.Kind == problem.Away {
		w.Header().Set("Retry-After", problem.RetryAfter)
	}
	write(w, answer{p.Kind.Status(), map[string]any{"error": map[string]any{"code": p.Code, "message": p.Text(),
		"innerError": map[string]any{"date": time.Now().UTC().Format("2006-01-02T15:04:05"), "request-id": id, "client-request-id": w.Header().Get("x-ms-client-request-id")}}}})
}

func write(w http.ResponseWriter, a answer) {
	w.Header().Set("Cache-Control", "no-cache")
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the client is gone if this fails
}

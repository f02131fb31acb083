// Package graphapi is the corner of the directory API that clients need to turn a
// name or an ID into a principal.
package graphapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm/problem"
)

// Server is the graph host.
type Server struct {
	Log       *slog.Logger
	Issuer    *token.Issuer
	Directory *identity.Directory
	URL       string // https://graph.DOMAIN:PORT, the audience of its tokens
	TenantID  string
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := s.serve(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	write(w, http.StatusOK, body)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, problem.New(problem.Unauthenticated, "InvalidAuthenticationToken", "Access token is empty.")
	}
	if _, err := s.Issuer.VerifyIdentity(text, []string{s.URL, "https://graph.microsoft.com", "https://graph.windows.net"}); err != nil {
		return nil, problem.New(problem.Unauthenticated, "InvalidAuthenticationToken", "Access token validation failure.").Because(err)
	}
	segments := strings.FieldsFunc(r.URL.Path, func(c rune) bool { return c == '/' })
	if len(segments) < 2 {
		return nil, notServed(r)
	}
	switch what := strings.ToLower(strings.Join(segments[1:], "/")); {
	case what == "serviceprincipals" && r.Method == http.MethodGet:
		return s.find(r)
	case strings.HasPrefix(what, "serviceprincipals/") && len(segments) == 3 && r.Method == http.MethodGet:
		return s.one(r, segments[2])
	case what == "directoryobjects/getbyids" && r.Method == http.MethodPost:
		return s.byIDs(w, r)
	}
	return nil, notServed(r)
}

func notServed(r *http.Request) error {
	return problem.New(problem.Unsupported, "NotImplemented", "%s %s is not available in this version of Acrux.", r.Method, r.URL.Path)
}

// The filters that clients send.
var (
	byName  = regexp.MustCompile(`servicePrincipalNames/any\(c:\s*c eq '([^']*)'\)`)
	byAppID = regexp.MustCompile(`(?i)appId eq '([^']*)'`)
	display = regexp.MustCompile(`(?i)displayName eq '([^']*)'`)
	starts  = regexp.MustCompile(`(?i)startswith\(displayName,\s*'([^']*)'\)`)
)

func (s *Server) find(r *http.Request) (any, error) {
	filter := r.URL.Query().Get("$filter")
	all, err := s.Directory.Principals(r.Context())
	if err != nil {
		return nil, err
	}
	values := []any{}
	for _, p := range all {
		if fits(p, filter) {
			values = append(values, s.body(p))
		}
	}
	return s.list("servicePrincipals", values), nil
}

func fits(p identity.Principal, filter string) bool {
	if filter == "" {
		return true
	}
	for _, pattern := range []*regexp.Regexp{byName, byAppID} {
		if m := pattern.FindStringSubmatch(filter); m != nil {
			return strings.EqualFold(m[1], string(p.ClientID))
		}
	}
	if m := display.FindStringSubmatch(filter); m != nil {
		return strings.EqualFold(m[1], p.DisplayName)
	}
	if m := starts.FindStringSubmatch(filter); m != nil {
		return strings.HasPrefix(strings.ToLower(p.DisplayName), strings.ToLower(m[1]))
	}
	return false
}

func (s *Server) one(r *http.Request, id string) (any, error) {
	p, err := s.Directory.Principal(r.Context(), identity.ObjectID(id))
	if errors.Is(err, identity.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "Request_ResourceNotFound", "Resource '%s' does not exist or one of its queried reference-property objects are not present.", id)
	}
	return s.body(p), err
}

// maxBody bounds a request's body in bytes, maxIDs how many IDs may stand in it.
const (
	maxBody = 256 << 10
	maxIDs  = 1000
)

func (s *Server) byIDs(w http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		IDs []string `json:"ids"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil || len(body.IDs) > maxIDs {
		return nil, problem.New(problem.Invalid, "Request_BadRequest", "The request needs JSON with at most %d 'ids'.", maxIDs).Because(err)
	}
	values := []any{}
	for _, id := range body.IDs {
		p, err := s.Directory.Principal(r.Context(), identity.ObjectID(id))
		if errors.Is(err, identity.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		values = append(values, s.body(p))
	}
	return s.list("directoryObjects", values), nil
}

func (s *Server) list(what string, values []any) map[string]any {
	return map[string]any{"@odata.context": s.URL + "/v1.0/$metadata#" + what, "value": values}
}

func (s *Server) body(p identity.Principal) map[string]any {
	return map[string]any{"@odata.type": "#microsoft.graph.servicePrincipal", "id": p.ObjectID, "appId": p.ClientID, "displayName": p.DisplayName,
		"servicePrincipalNames": []string{string(p.ClientID)}, "servicePrincipalType": p.Kind, "accountEnabled": true, "appOwnerOrganizationId": s.TenantID}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	if p.Kind == problem.Internal && r.Context().Err() == nil {
		s.Log.Error("request failed", "id", w.Header().Get("x-ms-request-id"), "path", r.URL.Path, "err", err)
	}
	write(w, p.Kind.Status(), map[string]any{"error": map[string]any{"code": p.Code, "message": p.Text()}})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}

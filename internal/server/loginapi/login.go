// Package loginapi is the login host: OAuth 2.0 tokens, OpenID metadata and keys.
// It serves both forms of authority, /adfs and /{tenant}: with the first, clients of
// Azure ask nobody else whether this is a genuine cloud.
package loginapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/secret"
	"github.com/acrux/acrux/internal/access/token"
)

// Server is the login host.
type Server struct {
	Log       *slog.Logger
	Issuer    *token.Issuer
	Directory *identity.Directory
	URL       string // https://login.DOMAIN:PORT
	TenantID  string
}

// ServeHTTP implements http.Handler. The first segment of a path is the authority.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := "/" + strings.Join(strings.FieldsFunc(r.URL.Path, func(c rune) bool { return c == '/' }), "/")
	authority, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	lower := strings.ToLower(rest)
	switch {
	case strings.HasSuffix(lower, ".well-known/openid-configuration"):
		s.configuration(w, authority, strings.Split(rest, "/")[0])
	case strings.HasSuffix(lower, "discovery/keys") || strings.HasSuffix(lower, "discovery/v2.0/keys"):
		s.keys(w)
	case lower == "discovery/instance":
		s.instance(w)
	case lower == "oauth2/token" || lower == "oauth2/v2.0/token":
		s.token(w, r, authority)
	default:
		fail(w, oauthError{http.StatusNotFound, "invalid_request", 90002, "The path '" + r.URL.Path + "' is not served by the login host."})
	}
}

func (s *Server) tenantKnown(authority string) bool {
	switch strings.ToLower(authority) {
	case "adfs", "common", "organizations", strings.ToLower(s.TenantID), "acrux":
		return true
	}
	return false
}

// configuration describes an authority. Below /adfs clients also look for tenants.
func (s *Server) configuration(w http.ResponseWriter, authority, below string) {
	for _, name := range []string{authority, below} {
		if word := strings.ToLower(name); word != "v2.0" && word != ".well-known" && !s.tenantKnown(name) {
			unknown := badTenant(name)
			unknown.status = http.StatusNotFound
			fail(w, unknown)
			return
		}
	}
	base, oauth := s.URL+"/"+authority, "/oauth2/v2.0"
	if strings.EqualFold(authority, "adfs") {
		oauth = "/oauth2"
	}
	write(w, http.StatusOK, map[string]any{"issuer": s.Issuer.URL, "authorization_endpoint": base + oauth + "/authorize", "token_endpoint": base + oauth + "/token",
		"device_authorization_endpoint": base + oauth + "/devicecode", "jwks_uri": base + "/discovery/keys",
		"response_types_supported": []string{"token"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"grant_types_supported": []string{"client_credentials"}, "token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"}})
}

func (s *Server) keys(w http.ResponseWriter) {
	set, err := s.Issuer.JWKS()
	if err != nil {
		s.Log.Error("rendering the keys", "err", err)
		fail(w, oauthError{http.StatusInternalServerError, "server_error", 90033, "The keys could not be rendered."})
		return
	}
	write(w, http.StatusOK, set)
}

func (s *Server) instance(w http.ResponseWriter) {
	host := strings.TrimPrefix(s.URL, "https://")
	name, _, _ := strings.Cut(host, ":")
	write(w, http.StatusOK, map[string]any{"tenant_discovery_endpoint": s.URL + "/" + s.TenantID + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
		"metadata": []any{map[string]any{"preferred_network": name, "preferred_cache": name, "aliases": []string{name}}}})
}

// maxForm bounds the body of a token request, in bytes.
const maxForm = 64 << 10

func (s *Server) token(w http.ResponseWriter, r *http.Request, authority string) {
	if r.Method != http.MethodPost {
		fail(w, oauthError{http.StatusMethodNotAllowed, "invalid_request", 900561, "The token endpoint takes POST only."})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		fail(w, oauthError{http.StatusBadRequest, "invalid_request", 900144, "The request body is not a form."})
		return
	}
	if !s.tenantKnown(authority) {
		fail(w, badTenant(authority))
		return
	}
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" {
		fail(w, oauthError{http.StatusBadRequest, "unsupported_grant_type", 70003, "The grant type '" + grant + "' is not available in this version of Acrux."})
		return
	}
	s.clientCredentials(w, r)
}

func (s *Server) clientCredentials(w http.ResponseWriter, r *http.Request) {
	id, password := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		id, password = user, pass
	}
	if r.PostForm.Get("client_assertion") != "" {
		fail(w, oauthError{http.StatusBadRequest, "invalid_request", 700027, "Client assertions are not available in this version of Acrux; use a client secret."})
		return
	}
	audience := audience(r)
	if audience == "" {
		fail(w, oauthError{http.StatusBadRequest, "invalid_request", 900144, "The request must name a 'scope' ending in /.default, or a 'resource'."})
		return
	}
	p, err := s.Directory.Authenticate(r.Context(), identity.ClientID(id), secret.New(password))
	switch {
	case errors.Is(err, identity.ErrNotFound):
		fail(w, oauthError{http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '" + id + "' was not found in the directory '" + s.TenantID + "'."})
		return
	case errors.Is(err, identity.ErrWrongSecret):
		fail(w, oauthError{http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided."})
		return
	}
	if err == nil {
		err = s.grant(w, p, audience)
	}
	if err != nil {
		s.Log.Error("issuing a token", "client", id, "err", err)
		fail(w, oauthError{http.StatusInternalServerError, "server_error", 90033, "The token could not be issued; the server's log says why."})
	}
}

// audience is the resource a token is asked for: of a scope, all but one "/.default".
func audience(r *http.Request) string {
	for scope := range strings.FieldsSeq(r.PostForm.Get("scope")) {
		if resource, ok := strings.CutSuffix(scope, "/.default"); ok {
			return resource
		}
	}
	return r.PostForm.Get("resource")
}

func (s *Server) grant(w http.ResponseWriter, p identity.Principal, audience string) error {
	now := time.Now()
	text, err := s.Issuer.Identity(p, audience, now, token.IdentityTTL)
	if err != nil {
		return err
	}
	seconds := int(token.IdentityTTL.Seconds()) - 1
	write(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
		"expires_on": now.Add(token.IdentityTTL).Unix(), "not_before": now.Unix(), "resource": audience, "access_token": text})
	return nil
}

// oauthError is an error as RFC 6749 section 5.2 has it, with Azure's number.
type oauthError struct {
	status  int
	code    string
	number  int
	message string
}

func badTenant(name string) oauthError {
	return oauthError{http.StatusBadRequest, "invalid_request", 900023, "Specified tenant identifier '" + name + "' is neither a valid DNS name, nor a valid external domain."}
}

// fail never sends Retry-After: clients keep answers that have it for an hour.
func fail(w http.ResponseWriter, e oauthError) {
	id := w.Header().Get("x-ms-request-id")
	now := time.Now().UTC().Format("2006-01-02 15:04:05Z")
	text := "AADSTS" + strconv.Itoa(e.number) + ": " + e.message + " Trace ID: " + id + " Timestamp: " + now
	write(w, e.status, map[string]any{"error": e.code, "error_description": text, "error_codes": []int{e.number},
		"timestamp": now, "trace_id": id, "correlation_id": uuid.NewString()})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}

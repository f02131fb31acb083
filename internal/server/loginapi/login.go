// Package loginapi is the login host: OAuth 2.0 tokens, OpenID metadata and keys, and
// the page on which people let devices in. It serves both forms of authority, /adfs and
// /{tenant}: with the first, clients of Azure ask nobody else whether this is a genuine
// cloud.
//
// Answers are what az-wire, section 3, says. No answer has Retry-After and no bad request
// is answered with 5xx: clients keep such answers on disk and repeat them to their users.
package loginapi

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/assertion"
	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/server/edge"
)

// Server is the login host.
type Server struct {
	Log        *slog.Logger
	Issuer     *token.Issuer
	Directory  *identity.Directory
	SignIn     *signin.Service
	Guesses    *signin.Guesses // of all doors
	Assertions *assertion.Verifier
	URL        string // https://login.DOMAIN:PORT
	TenantID   string
}

// ServeHTTP implements http.Handler. The first segment of a path is the authority.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Join(strings.FieldsFunc(r.URL.Path, func(c rune) bool { return c == '/' }), "/")
	authority, rest, _ := strings.Cut(path, "/")
	lower := strings.ToLower(rest)
	switch {
	case path == devicePath:
		s.devicePage(w, r)
	case strings.HasSuffix(lower, ".well-known/openid-configuration"):
		s.configuration(w, authority, strings.Split(rest, "/")[0])
	case strings.HasSuffix(lower, "discovery/keys") || strings.HasSuffix(lower, "discovery/v2.0/keys"):
		s.keys(w)
	case lower == "discovery/instance":
		s.instance(w)
	case strings.HasPrefix(lower, "userrealm/"):
		s.realm(w, rest[len("userrealm/"):])
	case lower == "oauth2/token" || lower == "oauth2/v2.0/token":
		s.post(w, r, authority, s.token)
	case lower == "oauth2/devicecode" || lower == "oauth2/v2.0/devicecode":
		s.post(w, r, authority, s.deviceCode)
	case lower == "invitation":
		s.post(w, r, authority, s.accept)
	case lower == "oauth2/authorize" || lower == "oauth2/v2.0/authorize":
		s.authorize(w)
	default:
		s.fail(w, refusal{http.StatusNotFound, "invalid_request", 90002, "The path '" + r.URL.Path + "' is not served by the login host."})
	}
}

func (s *Server) tenantKnown(authority string) bool {
	switch strings.ToLower(authority) {
	case "adfs", "common", "organizations", strings.ToLower(s.TenantID), "acrux":
		return true
	}
	return false
}

// maxForm bounds the body of a request, in bytes.
const maxForm = 64 << 10

// post reads the form of a request and answers with what fn makes of it.
func (s *Server) post(w http.ResponseWriter, r *http.Request, authority string, fn func(r *http.Request) (any, error)) {
	if r.Method != http.MethodPost {
		s.fail(w, refusal{http.StatusMethodNotAllowed, "invalid_request", 900561, "The endpoint takes POST only."})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.fail(w, refusal{http.StatusBadRequest, "invalid_request", 900144, "The request body is not a form of at most 64 KiB."})
		return
	}
	if !s.tenantKnown(authority) {
		s.fail(w, badTenant(authority))
		return
	}
	body, err := fn(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	write(w, http.StatusOK, body)
}

// address is what attempts are counted by: where a request comes from, of an IPv6
// address the half that a provider gives to one customer.
func address(r *http.Request) string { return edge.Address(r.RemoteAddr) }

// attempt begins a try at the secret of an account, if it is not closed to the address.
func (s *Server) attempt(r *http.Request, account signin.Account) (signin.Attempt, error) {
	try, ok := s.Guesses.Try(account, address(r), time.Now())
	if !ok {
		s.Log.Warn("too many attempts to sign in", "from", r.RemoteAddr)
		return try, tooManyGuesses
	}
	return try, nil
}

var tooManyGuesses = badGrant(50053,
	"There were too many attempts to sign in with a wrong password. Try again in a minute.")

// outcome tells an attempt how it ended: by an error that says that the secret was wrong,
// by another, or well.
func outcome(r *http.Request, try signin.Attempt, err error, wrong ...error) {
	switch {
	case err == nil:
		try.Right()
		edge.SignedIn(r.Context())
	case slices.ContainsFunc(wrong, func(w error) bool { return errors.Is(err, w) }):
		try.Wrong()
	default:
		try.Neither()
	}
}

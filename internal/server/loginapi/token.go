package loginapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/secret"
)

// The grants that are served.
const (
	grantClient   = "client_credentials"
	grantPassword = "password"
	grantRefresh  = "refresh_token"
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code"
)

// token is the token endpoint (RFC 6749, section 3.2).
func (s *Server) token(r *http.Request) (any, error) {
	switch grant := r.PostForm.Get("grant_type"); grant {
	case grantClient:
		return s.clientGrant(r)
	case grantPassword:
		return s.passwordGrant(r)
	case grantRefresh:
		return s.refreshGrant(r)
	case grantDevice, "device_code":
		return s.deviceGrant(r)
	case "":
		return nil, badRequest(900144, "The request body must contain the following parameter: 'grant_type'.")
	default:
		return nil, refusal{http.StatusBadRequest, "unsupported_grant_type", 70003, "The grant type '" + grant + "' is not available in this version of Acrux."}
	}
}

// target is what a token is asked for.
type target struct {
	audience string
	scope    string // as clients of users want it back
	v1       bool   // asked with "resource"
}

// maxAudience bounds an audience, in bytes.
const maxAudience = 512

// targetOf reads what a form asks a token for: of the scope that ends in "/.default" all
// but that, or a resource.
func targetOf(form url.Values) (target, error) {
	t := target{scope: form.Get("scope")}
	for scope := range strings.FieldsSeq(t.scope) {
		if resource, ok := strings.CutSuffix(scope, "/.default"); ok {
			t.audience = resource
			break
		}
	}
	if t.audience == "" {
		t.audience, t.v1 = form.Get("resource"), true
	}
	if t.audience == "" || len(t.audience) > maxAudience {
		return t, badRequest(900144, "The request must name a 'scope' ending in /.default, or a 'resource', of at most 512 bytes.")
	}
	return t, nil
}

// clientGrant is for programs that act for themselves (RFC 6749, section 4.4).
func (s *Server) clientGrant(r *http.Request) (any, error) {
	want, err := targetOf(r.PostForm)
	if err != nil {
		return nil, err
	}
	p, err := s.client(r, want.audience)
	if err != nil {
		return nil, err
	}
	return s.answer(p, want, time.Now())
}

// client returns the service principal or managed identity that a request proves itself to be.
func (s *Server) client(r *http.Request, audience string) (identity.Principal, error) {
	id, password := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, pass, ok := basic(r); ok {
		id, password = user, pass
	}
	try, err := s.attempt(r, signin.Program(identity.ClientID(id)))
	if err != nil {
		return identity.Principal{}, err
	}
	if text := r.PostForm.Get("client_assertion"); text != "" {
		return s.asserted(r, try, identity.ClientID(id), text, audience)
	}
	p, err := s.Directory.Authenticate(r.Context(), identity.ClientID(id), secret.New(password))
	outcome(r, try, err, identity.ErrNotFound, identity.ErrWrongSecret)
	return p, s.whyNot(err, id)
}

// basic reads HTTP Basic, in which both parts are encoded like those of forms (RFC 6749,
// section 2.3.1).
func basic(r *http.Request) (user, password string, ok bool) {
	user, password, ok = r.BasicAuth()
	if decoded, err := url.QueryUnescape(user); err == nil {
		user = decoded
	}
	if decoded, err := url.QueryUnescape(password); err == nil {
		password = decoded
	}
	return user, password, ok
}

// whyNot turns the reason why a client was not let in into what clients expect.
func (s *Server) whyNot(err error, id string) error {
	refuse := func(number int, message string) error {
		return refusal{http.StatusUnauthorized, "invalid_client", number, message}
	}
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return refusal{http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '" + id + "' was not found in the directory '" + s.TenantID + "'."}
	case errors.Is(err, identity.ErrSecretExpired):
		return refuse(7000222, "The provided client secret keys for app '"+id+"' are expired, or not valid yet. Make a new one: az ad sp credential reset --id "+id)
	case errors.Is(err, identity.ErrDisabled):
		return refuse(7000112, "Application '"+id+"' is disabled.")
	case errors.Is(err, identity.ErrWrongSecret):
		return refuse(7000215, "Invalid client secret provided.")
	}
	return err
}

// answer is a token of a principal (RFC 6749, section 5.1).
func (s *Server) answer(p identity.Principal, want target, now time.Time) (map[string]any, error) {
	text, err := s.Issuer.Identity(p, want.audience, now, token.IdentityTTL)
	seconds := int(token.IdentityTTL.Seconds()) - 1
	return map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
		"expires_on": now.Add(token.IdentityTTL).Unix(), "not_before": now.Unix(), "resource": want.audience, "access_token": text}, err
}

// userAnswer is a token of a user for the program that he uses, with what that program
// needs to remember him.
func (s *Server) userAnswer(ctx context.Context, user identity.Principal, client identity.ClientID, want target, refresh secret.String) (any, error) {
	now := time.Now()
	user.ClientID = client
	body, err := s.answer(user, want, now)
	if err != nil {
		return nil, err
	}
	if body["id_token"], err = s.Issuer.ID(user, client, now, token.IdentityTTL); err != nil {
		return nil, err
	}
	if refresh.Empty() {
		refresh, err = s.SignIn.NewRefresh(ctx, user.ObjectID, client, now)
		if errors.Is(err, signin.ErrUnknown) {
			return nil, disabledUser
		}
		if err != nil {
			return nil, err
		}
	}
	body["refresh_token"], body["client_info"], body["scope"] = refresh.Reveal(), clientInfo(user, s.TenantID), want.scope
	if want.v1 {
		body["scope"] = "user_impersonation"
	}
	return body, nil
}

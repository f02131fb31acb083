// Package imds is the identity endpoint that the steps of a run see at
// 169.254.169.254. Being reachable is the proof of identity: an executor serves it
// inside the network of one run and nowhere else.
//
// Programs find it in two ways (az-wire, section 3.6): at the path of the metadata of
// virtual machines, and by the variables of App Service, which name another path and a key
// to send along.
package imds

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// The documents there are: tokens as virtual machines ask for them, and as App Service
// does.
const (
	tokenPath   = "/metadata/identity/oauth2/token"
	servicePath = "/msi/token"
)

// address is where the executor serves the handler.
const address = "http://169.254.169.254"

// answerTime is how long the control plane has for a token.
const answerTime = 30 * time.Second

// Handler answers requests for tokens of one run's identities.
type Handler struct {
	// Identities are those the task has; others do not exist here.
	Identities []lease.Identity
	// Key is what programs send that found the endpoint by its variables. It is a secret of
	// the run, so that what a step can be made to fetch brings no token.
	Key secret.String
	// Token asks the control plane.
	Token func(ctx context.Context, request lease.TokenRequest) (lease.AccessToken, error)
}

// NewKey returns a random key.
func NewKey() secret.String { return secret.New(rand.Text()) }

// HasIdentities reports whether there is any to ask for.
func (h *Handler) HasIdentities() bool { return len(h.Identities) > 0 }

// Environment are the variables of App Service for a step, in both of its versions; none
// if the run has no identities.
func (h *Handler) Environment() []string {
	if !h.HasIdentities() || h.Key.Empty() {
		return nil
	}
	endpoint, key := address+servicePath, h.Key.Reveal()
	return []string{"IDENTITY_ENDPOINT=" + endpoint, "IDENTITY_HEADER=" + key, "MSI_ENDPOINT=" + endpoint, "MSI_SECRET=" + key}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/") // 2017-09-01 adds one
	switch {
	case forwarded(r):
		refuse(w, http.StatusBadRequest, "invalid_request", forwardedText)
		return
	case path != tokenPath && path != servicePath:
		refuse(w, http.StatusNotFound, "not_found", "There is no such document")
		return
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed, "invalid_request", "Only GET is supported")
		return
	case path == tokenPath && !strings.EqualFold(r.Header.Get("Metadata"), "true"):
		refuse(w, http.StatusBadRequest, "invalid_request", "Required metadata header not specified")
		return
	case path == servicePath && !h.knows(r.Header):
		refuse(w, http.StatusUnauthorized, "invalid_request", "The header X-IDENTITY-HEADER, or secret, is missing or wrong")
		return
	}
	query := r.URL.Query()
	if query.Get("resource") == "" {
		refuse(w, http.StatusBadRequest, "invalid_request", "Required query variable 'resource' is missing")
		return
	}
	identity, text := h.choose(query)
	if text != "" {
		refuse(w, http.StatusBadRequest, "invalid_request", text)
		return
	}
	// A client that has sent all it has to say, such as "printf … | nc", still waits for
	// the answer; to the server it looks like one that went away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTime)
	defer cancel()
	token, err := h.Token(ctx, lease.TokenRequest{Audience: query.Get("resource"), ClientID: identity.ClientID})
	if err != nil {
		h.fail(w, err)
		return
	}
	write(w, http.StatusOK, answer(token, query.Get("resource")))
}

// forwardedBy are headers that proxies add. Somebody may make a program of the step fetch
// what he likes, headers included; a proxy in between shows in these.
var forwardedBy = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded",
	"Via", "X-Real-Ip", "X-Original-Url"}

// forwarded reports whether a request came by way of somebody else, as Azure's endpoint
// refuses those: through a proxy, or by a name that was made to lead here.
func forwarded(r *http.Request) bool {
	for _, name := range forwardedBy {
		if len(r.Header.Values(name)) > 0 {
			return true
		}
	}
	host := strings.TrimSuffix(r.Host, ":80")
	old := host == "" && !r.ProtoAtLeast(1, 1) // HTTP/1.0 does not say
	return host != strings.TrimPrefix(address, "http://") && !old
}

// knows reports whether a request has the key, in the header of either version.
func (h *Handler) knows(header http.Header) bool {
	for _, name := range []string{"X-IDENTITY-HEADER", "secret"} {
		if !h.Key.Empty() && subtle.ConstantTimeCompare([]byte(header.Get(name)), []byte(h.Key.Reveal())) == 1 {
			return true
		}
	}
	return false
}

// Texts of refusals.
const (
	forwardedText = "Requests that were forwarded, or are meant for another host, are not answered"

	notFound = "Identity not found"
	several  = "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"
)

// choose finds the identity that is asked for, or says why there is none. Without
// a selector it is the system-assigned one, else the only one there is.
func (h *Handler) choose(query url.Values) (lease.Identity, string) {
	client, principal := first(query, "client_id", "clientid"), first(query, "object_id", "principal_id")
	resource := first(query, "msi_res_id", "mi_res_id")
	for _, identity := range h.Identities {
		switch {
		case client != "" && strings.EqualFold(client, identity.ClientID),
			principal != "" && strings.EqualFold(principal, identity.PrincipalID),
			resource != "" && strings.EqualFold(resource, identity.ResourceID),
			client+principal+resource == "" && (identity.System || len(h.Identities) == 1):
			return identity, ""
		}
	}
	if client+principal+resource == "" && len(h.Identities) > 1 {
		return lease.Identity{}, several
	}
	return lease.Identity{}, notFound
}

// first is the first of several names of one parameter that has a value.
func first(query url.Values, names ...string) string {
	for _, name := range names {
		if value := query.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// fail answers a request that the control plane did not.
func (h *Handler) fail(w http.ResponseWriter, err error) {
	var p *problem.Error
	if errors.As(err, &p) && !p.Kind.Ours() {
		refuse(w, p.Kind.Status(), "invalid_request", p.Text())
		return
	}
	if errors.Is(err, lease.ErrLost) {
		refuse(w, http.StatusBadRequest, "invalid_request", notFound)
		return
	}
	refuse(w, http.StatusServiceUnavailable, "temporarily_unavailable", "The identity service does not answer")
}

// answer is a token as clients expect it: numbers are texts.
func answer(token lease.AccessToken, resource string) map[string]string {
	seconds := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	left := strconv.FormatInt(max(0, int64(time.Until(token.ExpiresAt)/time.Second)), 10)
	return map[string]string{
		"access_token": token.Token.Reveal(), "client_id": token.ClientID, "resource": resource, "token_type": "Bearer",
		"expires_in": left, "ext_expires_in": left, "expires_on": seconds(token.ExpiresAt), "not_before": seconds(token.NotBefore),
	}
}

func refuse(w http.ResponseWriter, status int, code, description string) {
	write(w, status, map[string]string{"error": code, "error_description": description})
}

func write(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client went away; nobody is left to tell
}

package loginapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/secret"
)

// programs are the public clients with which users sign in: their IDs are the same in
// every Azure, and they have no secrets.
var programs = map[identity.ClientID]string{
	"04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Azure CLI",
	"1950a258-227b-4e31-a9cf-717495945fc2": "Azure PowerShell",
	"872cd9fa-d31f-45e0-9eab-6e460a02d1f1": "Visual Studio",
	"aebc6443-996d-45c2-90f0-388ff96faa56": "Visual Studio Code",
}

// program returns the public client that a request comes from.
func (s *Server) program(r *http.Request) (identity.ClientID, error) {
	id := identity.ClientID(strings.ToLower(r.PostForm.Get("client_id")))
	if _, known := programs[id]; !known {
		return id, refusal{http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '" + string(id) + "' is not one with which users sign in to '" + s.TenantID + "'."}
	}
	return id, nil
}

// passwordGrant is for programs that have asked their user for the password (RFC 6749,
// section 4.3).
func (s *Server) passwordGrant(r *http.Request) (any, error) {
	client, err := s.program(r)
	if err != nil {
		return nil, err
	}
	want, err := targetOf(r.PostForm)
	if err != nil {
		return nil, err
	}
	user, err := s.user(r, r.PostForm.Get("username"), r.PostForm.Get("password"))
	if err != nil {
		return nil, err
	}
	return s.userAnswer(r.Context(), user, client, want, secret.String{})
}

// user returns whose name and password it is. Wrong ones are counted.
func (s *Server) user(r *http.Request, name, password string) (identity.Principal, error) {
	name = strings.TrimSpace(name)
	if name == "" || password == "" {
		return identity.Principal{}, badRequest(900144, "The request body must contain the following parameters: 'username', 'password'.")
	}
	try, err := s.attempt(r, signin.Person(name))
	if err != nil {
		return identity.Principal{}, err
	}
	p, err := s.Directory.AuthenticateUser(r.Context(), name, secret.New(password))
	outcome(r, try, err, identity.ErrWrongSecret)
	switch {
	case errors.Is(err, identity.ErrDisabled):
		return p, disabledUser
	case errors.Is(err, identity.ErrWrongSecret):
		s.Log.Info("a user was not let in: wrong name or password", "user", name, "from", r.RemoteAddr)
		return p, badGrant(50126, "Error validating credentials due to invalid username or password.")
	}
	return p, err
}

var disabledUser = badGrant(50057, "The user account is disabled, or was deleted.")

// refreshGrant is for programs whose user has signed in before (RFC 6749, section 6).
func (s *Server) refreshGrant(r *http.Request) (any, error) {
	client, err := s.program(r)
	if err != nil {
		return nil, err
	}
	want, err := targetOf(r.PostForm)
	if err != nil {
		return nil, err
	}
	text := secret.New(r.PostForm.Get("refresh_token"))
	try, err := s.attempt(r, signin.Bearer())
	if err != nil {
		return nil, err
	}
	who, err := s.SignIn.UseRefresh(r.Context(), text, client, time.Now())
	outcome(r, try, err, signin.ErrUnknown)
	over := badGrant(70043, "The refresh token is unknown, was not given to this application, or has ended: it does so after 90 days without use, and with a new password. Sign in again.")
	if errors.Is(err, signin.ErrUnknown) {
		return nil, over
	}
	if err != nil {
		return nil, err
	}
	user, err := s.Directory.Principal(r.Context(), who)
	if errors.Is(err, identity.ErrNotFound) || err == nil && user.Disabled {
		return nil, over
	}
	if err != nil {
		return nil, err
	}
	return s.userAnswer(r.Context(), user, client, want, text)
}

// clientInfo tells clients under which key to remember a user.
func clientInfo(user identity.Principal, tenant string) string {
	text, _ := json.Marshal(map[string]string{"uid": string(user.ObjectID), "utid": tenant}) // texts never fail
	return base64.RawURLEncoding.EncodeToString(text)
}

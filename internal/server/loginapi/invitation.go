package loginapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// accept lets a user who was invited choose a password, once. The name is answered, so that
// the program can sign the user in with both. What is refused for the password leaves the
// invitation as it was.
func (s *Server) accept(r *http.Request) (any, error) {
	code, password := secret.New(r.PostForm.Get("invitation")), secret.New(r.PostForm.Get("password"))
	if code.Empty() || password.Empty() {
		return nil, badRequest(900144, "The request body must contain the following parameters: 'invitation', 'password'.")
	}
	try, err := s.attempt(r, signin.Bearer())
	if err != nil {
		return nil, err
	}
	user, err := s.invited(r, code)
	outcome(r, try, err, signin.ErrUnknown)
	if errors.Is(err, signin.ErrUnknown) {
		return nil, refusal{http.StatusBadRequest, "expired_token", 70019,
			"The invitation is unknown, was used, has expired, or there is a newer one. Ask for another."}
	}
	if err != nil {
		return nil, err
	}
	if err := identity.CheckPassword(user.UserName, password); err != nil {
		return nil, badRequest(50052, problem.From(err).Message)
	}
	if err := s.SignIn.TakeInvitation(r.Context(), code); err != nil { // somebody was faster
		return nil, err
	}
	s.Log.Info("an invitation was accepted", "user", user.UserName, "from", r.RemoteAddr)
	return map[string]string{"username": user.UserName}, s.Directory.SetPassword(r.Context(), user, password)
}

func (s *Server) invited(r *http.Request, code secret.String) (identity.Principal, error) {
	who, err := s.SignIn.Invited(r.Context(), code, time.Now())
	if err != nil {
		return identity.Principal{}, err
	}
	user, err := s.Directory.Principal(r.Context(), who)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return user, signin.ErrUnknown
	case err == nil && user.Disabled:
		return user, disabledUser
	}
	return user, err
}

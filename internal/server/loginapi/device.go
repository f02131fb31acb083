package loginapi

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/secret"
)

// pollSeconds is how long a device waits between two looks.
const pollSeconds = 5

// deviceCode gives a device a code, and its user another to type on the page of the
// login host (RFC 8628, section 3.2).
func (s *Server) deviceCode(r *http.Request) (any, error) {
	client, err := s.program(r)
	if err != nil {
		return nil, err
	}
	want, err := targetOf(r.PostForm)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if !s.SignIn.AskCode(address(r), now) {
		return nil, badRequest(50196, "Too many device codes were asked for from this address. Try again in a minute.")
	}
	kept := url.Values{"scope": {want.scope}, "resource": {want.audience}}
	if !want.v1 {
		kept.Del("resource")
	}
	code, device, err := s.SignIn.NewDevice(r.Context(), client, kept.Encode(), now)
	if errors.Is(err, signin.ErrTooMany) {
		return nil, badRequest(50196, "Too many devices wait to be let in. Try again in a quarter of an hour.")
	}
	if err != nil {
		return nil, err
	}
	page := s.URL + "/" + devicePath
	return map[string]any{"device_code": code.Reveal(), "user_code": device.UserCode, "verification_uri": page, "verification_url": page,
		"expires_in": int(signin.DeviceTTL.Seconds()), "interval": pollSeconds,
		"message": "To sign in, use a web browser to open the page " + page + " and enter the code " + device.UserCode + " to authenticate."}, nil
}

// deviceGrant is for a device that looks whether its user has let it in (RFC 8628,
// section 3.4).
func (s *Server) deviceGrant(r *http.Request) (any, error) {
	client, err := s.program(r)
	if err != nil {
		return nil, err
	}
	code := r.PostForm.Get("device_code")
	if code == "" {
		code = r.PostForm.Get("code") // the first form of this grant
	}
	try, err := s.attempt(r, signin.Bearer())
	if err != nil {
		return nil, err
	}
	device, err := s.SignIn.TakeDevice(r.Context(), secret.New(code), client, time.Now())
	outcome(r, try, err, signin.ErrUnknown)
	switch {
	case errors.Is(err, signin.ErrPending):
		return nil, refusal{http.StatusBadRequest, "authorization_pending", 70016, "The user has not signed in yet. Try again."}
	case errors.Is(err, signin.ErrUnknown):
		return nil, refusal{http.StatusBadRequest, "expired_token", 70019, "The device code is unknown, was used, or has expired. Ask for another."}
	case err != nil:
		return nil, err
	}
	user, err := s.Directory.Principal(r.Context(), device.Principal)
	if errors.Is(err, identity.ErrNotFound) || err == nil && user.Disabled {
		return nil, disabledUser
	}
	if err != nil {
		return nil, err
	}
	want, err := wanted(device)
	if err != nil {
		return nil, err
	}
	return s.userAnswer(r.Context(), user, client, want, secret.String{})
}

// wanted is what a device asked for when it got its code.
func wanted(device signin.Device) (target, error) {
	form, err := url.ParseQuery(device.Scope)
	if err != nil {
		return target{}, err
	}
	return targetOf(form)
}

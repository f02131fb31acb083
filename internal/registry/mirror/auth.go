package mirror

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// tokenUser is the user name that goes with a refresh token as the password.
const tokenUser = "00000000-0000-0000-0000-000000000000"

// authenticator is how an import signs in to its source. A password without a user
// name is a token, as az takes it: one of the directory, which a registry with ACR's
// token service exchanges, or else a refresh token of the registry itself.
func (f *fetcher) authenticator(ctx context.Context, source name.Registry) authn.Authenticator {
	user, password := f.order.Username, f.order.Password
	switch {
	case password == "":
		return authn.Anonymous
	case user == "":
		user = tokenUser
		if refresh, ok := f.exchange(ctx, source, password); ok {
			password = refresh
		}
	}
	return &authn.Basic{Username: user, Password: password}
}

// Bounds of an exchange.
const (
	exchangeTimeout = 30 * time.Second
	maxExchange     = 64 << 10 // bytes of the answer
)

// exchange changes a token of the directory for a refresh token. What goes wrong here
// is told by the request that needs the token.
func (f *fetcher) exchange(ctx context.Context, source name.Registry, token string) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	form := url.Values{"grant_type": {"access_token"}, "service": {source.RegistryStr()}, "access_token": {token}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, source.Scheme()+"://"+source.RegistryStr()+"/oauth2/exchange", strings.NewReader(form))
	if err != nil {
		return "", false
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := f.transport.RoundTrip(req) // follows no redirect: the token is for this host
	if err != nil {
		return "", false
	}
	defer res.Body.Close()
	var body struct {
		RefreshToken string `json:"refresh_token"`
	}
	if res.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(res.Body, maxExchange)).Decode(&body) != nil {
		return "", false
	}
	return body.RefreshToken, body.RefreshToken != ""
}

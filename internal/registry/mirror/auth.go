package mirror

import (
	"context"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
)

// authenticator is how an import signs in to its source. A password without a user
// name is a token, as az takes it: one of the directory, which a registry with ACR's
// token service exchanges, or else a refresh token of the registry itself.
func (f *fetcher) authenticator(ctx context.Context, source name.Registry) authn.Authenticator {
	user, password := f.order.Username, f.order.Password
	switch {
	case password == "":
		return authn.Anonymous
	case user == "":
		user = oci.RefreshUser
		if refresh, ok := f.exchange(ctx, source, password); ok {
			password = refresh
		}
	}
	return &authn.Basic{Username: user, Password: password}
}

// exchangeTimeout bounds an exchange.
const exchangeTimeout = 30 * time.Second

// exchange changes a token of the directory for a refresh token. What goes wrong here
// is told by the request that needs the token.
func (f *fetcher) exchange(ctx context.Context, source name.Registry, token string) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token is for this host
	send := registryclient.By(&http.Client{Transport: f.transport, CheckRedirect: stay}, "acrux")
	at := registryclient.Place{Scheme: source.Scheme(), Host: source.RegistryStr()}
	refresh, err := registryclient.Exchange(ctx, send, at, "", secret.New(token))
	return refresh.Reveal(), err == nil
}

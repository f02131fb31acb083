package registryclient

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/acrux/acrux/internal/secret"
)

// Exchange turns a token of the directory into a refresh token of a registry ("ACR AAD-OAuth",
// POST /oauth2/exchange). The registry itself is asked, not its mirror, and nobody to whom it
// redirects. The error is a *Refusal if it does not take the token.
func (c *Client) Exchange(ctx context.Context, host string, token secret.String) (secret.String, error) {
	return Exchange(ctx, By(c.staying, c.UserAgent), Place{Scheme: "https", Host: host}, "", token)
}

// Exchange is Client.Exchange for who sends in his own way, to a place, and names the tenant of
// the token if it is not empty. send must follow no redirects.
func Exchange(ctx context.Context, send Send, at Place, tenant string, token secret.String) (secret.String, error) {
	form := url.Values{"grant_type": {"access_token"}, "service": {at.Host}, "access_token": {token.Reveal()}}
	if tenant != "" {
		form.Set("tenant", tenant)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.Scheme+"://"+at.Host+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return secret.String{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := send(request)
	if err == nil {
		err = judge(at.Host, got)
	}
	if err != nil {
		return secret.String{}, err
	}
	var body struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(got.Body, &body); err != nil || body.RefreshToken == "" {
		return secret.String{}, &Refusal{Host: at.Host, Phrase: got.Phrase + " without a refresh token"}
	}
	return secret.New(body.RefreshToken), nil
}

// Audience is of the directory's tokens that registries exchange.
const Audience = "https://containerregistry.azure.net"

// AzureSuffixes are what the login servers of Azure's registries end in, in its public,
// Chinese and American clouds.
var AzureSuffixes = []string{"azurecr.io", "azurecr.cn", "azurecr.us"}

// Exchanges reports whether a host may be told who an identity is. A token of one is taken by
// every registry that knows the identity, so it goes to those alone that have a use for it:
// registries of this installation, and Azure's. Neither is spoken to without TLS.
func (c *Client) Exchanges(host string) bool {
	if c.Dialer.IsOwn(host) {
		return true
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, "443"
	}
	for _, suffix := range c.suffixes() {
		if strings.HasSuffix(strings.ToLower(name), "."+suffix) {
			return port == "443"
		}
	}
	return false
}

func (c *Client) suffixes() []string {
	if c.Suffixes == nil {
		return AzureSuffixes
	}
	return c.Suffixes
}

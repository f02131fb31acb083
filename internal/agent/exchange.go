package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/secret"
)

// AzureSuffixes are what the login servers of Azure's registries end in, in its public,
// Chinese and American clouds.
var AzureSuffixes = []string{"azurecr.io", "azurecr.cn", "azurecr.us"}

// exchanges reports whether a host is told who the task is. A token of an identity is taken
// by every registry that knows the identity, so it goes to those alone that have a use
// for it: registries of this installation, and Azure's. Neither is spoken to without TLS.
func (c *registryClient) exchanges(host string) bool {
	if c.dialer.Own != nil {
		if _, own := c.dialer.Own(host); own {
			return true
		}
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, "443"
	}
	for _, suffix := range c.suffixes {
		if strings.HasSuffix(strings.ToLower(name), "."+suffix) {
			return port == "443"
		}
	}
	return false
}

// explainStranger is for a registry that is not told who the task is.
func (r *run) explainStranger(registry string) error {
	return engine.Failure(fmt.Sprintf("%sthe registry %s is not given a token of an identity: "+
		"only registries of this installation are, and those of Azure (%s)\nhint: give it a user name and a password: "+
		"az acr task credential update --name %s --registry %s --login-server %s --username USER --password PASSWORD",
		resolving, registry, strings.Join(r.registries.suffixes, ", "), r.job.TaskName, r.job.RegistryName, registry))
}

// refresh turns a token of an identity into a refresh token of the registry, which is asked
// itself, and not its mirror.
func (c *registryClient) refresh(ctx context.Context, host string, token secret.String) (secret.String, error) {
	form := url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {token.Reveal()}}.Encode()
	address := "https://" + host + "/oauth2/exchange"
	var refresh secret.String
	err := attempts(ctx, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got, err := do(c.exchange, request)
		if err == nil {
			err = judge(got)
		}
		if err != nil {
			return err
		}
		var body struct {
			RefreshToken string `json:"refresh_token"`
		}
		if err := json.Unmarshal(got.body, &body); err != nil || body.RefreshToken == "" {
			return &refusal{answer{status: got.status + " without a refresh token"}}
		}
		refresh = secret.New(body.RefreshToken)
		return nil
	})
	return refresh, err
}

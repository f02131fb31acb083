package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
)

// RefreshToken exchanges the identity token for a refresh token of a registry.
func (c *Client) RefreshToken(ctx context.Context, loginServer string) (string, error) {
	identity, err := c.Token(ctx, c.Management)
	if err != nil {
		return "", err
	}
	send := func(req *http.Request) (registryclient.Answer, error) {
		res, err := c.send(req)
		return registryclient.Answer{Status: res.Status, Phrase: http.StatusText(res.Status), Header: res.Header, Body: res.Body}, err
	}
	at := registryclient.Place{Scheme: "https", Host: loginServer}
	refresh, err := registryclient.Exchange(ctx, send, at, c.Tenant, secret.New(identity))
	return refresh.Reveal(), err
}

// RegistryRequest is a request to a registry's API.
type RegistryRequest struct {
	Server string // login server
	Method string
	Path   string // with its query
	Scope  string // what the access token must cover
	Accept string // media types; empty: any
	In     any    // JSON body, or nil
	Type   string // media type of the body, if it is another than JSON's

	// Username and Password are who asks, instead of who is signed in; of oci.RefreshUser a
	// refresh token.
	Username string
	Password secret.String
}

// Registry sends a request to a registry's API with an access token for its scope, and
// reads a JSON answer into out unless that is nil.
func (c *Client) Registry(ctx context.Context, r RegistryRequest, out any) (Response, error) {
	token, err := c.accessToken(ctx, r)
	if err != nil {
		return Response{}, err
	}
	req, err := newRequest(ctx, r.Method, "https://"+r.Server+r.Path, r.In)
	if err != nil {
		return Response{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if r.Type != "" {
		req.Header.Set("Content-Type", r.Type)
	}
	if r.Accept != "" {
		req.Header.Set("Accept", r.Accept)
	}
	res, err := c.send(req)
	if err == nil && out != nil && len(res.Body) > 0 {
		if err = json.Unmarshal(res.Body, out); err != nil {
			err = fmt.Errorf("reading the answer of %s: %w", r.Server, err)
		}
	}
	return res, err
}

// accessToken gets a token for the scope of r. Those of a command are used again, in
// memory only.
func (c *Client) accessToken(ctx context.Context, r RegistryRequest) (string, error) {
	key := strings.Join([]string{"registry", r.Server, r.Username, r.Scope}, " ")
	if text, ok := c.access.get(key); ok {
		return text, nil
	}
	form := url.Values{"service": {r.Server}, "scope": {r.Scope}}
	switch r.Username {
	case "":
		refresh, err := c.RefreshToken(ctx, r.Server)
		if err != nil {
			return "", err
		}
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", refresh)
	case oci.RefreshUser:
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", r.Password.Reveal())
	default:
		form.Set("grant_type", "password")
		form.Set("username", r.Username)
		form.Set("password", r.Password.Reveal())
	}
	var out struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	err := c.postForm(ctx, "https://"+r.Server+"/oauth2/token", form, &out)
	if err == nil {
		c.access.put(key, out.AccessToken, time.Now().Add(time.Duration(out.ExpiresIn)*time.Second))
	}
	return out.AccessToken, err
}

// LoginServer is the login server of a registry by name, without asking for it: whoever
// has a user name of the registry need not be able to see its resource.
func (c *Client) LoginServer(name string) string {
	_, domain, _ := strings.Cut(strings.TrimPrefix(c.Management, "https://"), ".")
	return strings.ToLower(name) + ".azurecr." + domain
}

// NextPage is the path of the next page of a listing, or empty. Only the path and the
// query of a link count: the pages of a listing are on one host.
func (r Response) NextPage() string {
	for _, link := range strings.Split(strings.Join(r.Header.Values("Link"), ","), ",") {
		target, parameters, _ := strings.Cut(link, ">")
		_, target, ok := strings.Cut(target, "<")
		if !ok || !strings.Contains(parameters, `rel="next"`) {
			continue
		}
		if u, err := url.Parse(target); err == nil {
			return u.RequestURI()
		}
	}
	return ""
}

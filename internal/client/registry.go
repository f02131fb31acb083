package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// RefreshToken exchanges the identity token for a refresh token of a registry.
func (c *Client) RefreshToken(ctx context.Context, loginServer string) (string, error) {
	identity, err := c.Token(ctx, c.Management)
	if err != nil {
		return "", err
	}
	var out struct {
		RefreshToken string `json:"refresh_token"`
	}
	err = c.postForm(ctx, "https://"+loginServer+"/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "service": {loginServer},
		"tenant": {c.Tenant}, "access_token": {identity}}, &out)
	return out.RefreshToken, err
}

// Registry sends a request to a registry's API with an access token for the scope.
func (c *Client) Registry(ctx context.Context, loginServer, method, path, scope string, out any) (Response, error) {
	refresh, err := c.RefreshToken(ctx, loginServer)
	if err != nil {
		return Response{}, err
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	err = c.postForm(ctx, "https://"+loginServer+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh},
		"service": {loginServer}, "scope": {scope}}, &token)
	if err != nil {
		return Response{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+loginServer+path, nil)
	if err != nil {
		return Response{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	res, err := c.send(req)
	if err == nil && out != nil && len(res.Body) > 0 {
		if err = json.Unmarshal(res.Body, out); err != nil {
			err = fmt.Errorf("reading the answer of %s: %w", loginServer, err)
		}
	}
	return res, err
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

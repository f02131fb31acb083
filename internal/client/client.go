// Package client is the typed way to the management and registry APIs that the
// command line uses. It needs no DNS: it dials the server's address and names the
// host it means.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// Profile says which server a client means and who it is.
type Profile struct {
	Management   string        `json:"management"` // https://management.DOMAIN:PORT
	Authority    string        `json:"authority"`  // https://login.DOMAIN:PORT/adfs
	GraphURL     string        `json:"graph"`
	Address      string        `json:"address,omitempty"` // ip:port to dial for all hosts; empty: the names are resolved
	CABundle     string        `json:"caBundle,omitempty"`
	Elsewhere    bool          `json:"elsewhere,omitempty"` // found by its address: without a data directory here
	Tenant       string        `json:"tenant"`
	Subscription string        `json:"subscription"`
	Method       Method        `json:"method,omitempty"`
	ClientID     string        `json:"clientId"`              // of a managed identity: empty if there is no choice
	UserName     string        `json:"userName,omitempty"`    // of a user
	Certificate  string        `json:"certificate,omitempty"` // PEM file with the key
	Secret       secret.String `json:"-"`                     // a secret, or another issuer's token
}

// Client talks to one server as one principal. It is safe for concurrent use.
type Client struct {
	Profile
	http   *http.Client
	tokens *tokenCache // identity tokens
	access *tokenCache // access tokens of registries

	// Trace, if it is set before the first request, is told of each: never its token or
	// its body.
	Trace func(method, url string, status int, took time.Duration)
}

// New returns a client. Tokens are kept in cacheFile, readable by its owner alone,
// or in memory only if that is empty.
func New(p Profile, cacheFile string) (*Client, error) {
	roots, err := p.rootPool()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(8)},
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	if p.Address != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, p.Address)
		}
	}
	return &Client{Profile: p, http: &http.Client{Transport: transport}, tokens: &tokenCache{file: cacheFile}, access: &tokenCache{}}, nil
}

// Response is an answer of the management API.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request to the management API. in and out are JSON; either may be nil.
// path may carry a query; api-version is added.
func (c *Client) Do(ctx context.Context, method, path, version string, in, out any) (Response, error) {
	return c.DoIf(ctx, method, path, version, "", in, out)
}

// DoIf is Do for a resource that must still have an ETag; an empty one means any.
func (c *Client) DoIf(ctx context.Context, method, path, version, etag string, in, out any) (Response, error) {
	target, err := c.resolve(path, version)
	if err != nil {
		return Response{}, err
	}
	token, err := c.Token(ctx, c.Management)
	if err != nil {
		return Response{}, err
	}
	req, err := newRequest(ctx, method, target, in)
	if err != nil {
		return Response{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if etag != "" {
		req.Header.Set("If-Match", etag)
	}
	res, err := c.send(req)
	if err != nil {
		return res, err
	}
	if out != nil && len(res.Body) > 0 {
		if err := json.Unmarshal(res.Body, out); err != nil {
			return res, fmt.Errorf("reading the server's answer to %s %s: %w", method, path, err)
		}
	}
	return res, nil
}

// Graph sends a request to the directory API and returns the answer's body.
func (c *Client) Graph(ctx context.Context, method, path string, in any) ([]byte, error) {
	token, err := c.Token(ctx, c.GraphURL)
	if err != nil {
		return nil, err
	}
	req, err := newRequest(ctx, method, c.GraphURL+path, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := c.send(req)
	return res.Body, err
}

// resolve makes a URL of a path, or keeps one the server gave. Paths begin with what users
// type, a scope or an ID: without the slash it would be a part of the host's name, or of another's.
func (c *Client) resolve(path, version string) (string, error) {
	if strings.HasPrefix(path, "https://") {
		if !strings.HasPrefix(path, c.Management+"/") {
			return "", fmt.Errorf("the server sent the client to another host: %s", path)
		}
		return path, nil
	}
	if !strings.HasPrefix(path, "/") {
		given, _, _ := strings.Cut(path, "/")
		return "", problem.New(problem.Invalid, "InvalidResourceID",
			"'%s' is not the ID of a resource, which begins with /subscriptions/", given).
			Hint("az acr show --name NAME --query id --output tsv")
	}
	plain, query, _ := strings.Cut(path, "?")
	u := c.Management + (&url.URL{Path: plain}).EscapedPath() + "?api-version=" + version
	if query != "" {
		u += "&" + query
	}
	return u, nil
}

func newRequest(ctx context.Context, method, target string, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err == nil && in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, err
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

func (c *Client) send(req *http.Request) (Response, error) {
	req.Header.Set("User-Agent", "acrux")
	began := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return Response{}, c.unreachable(req, err)
	}
	if c.Trace != nil {
		c.Trace(req.Method, req.URL.Host+req.URL.Path, res.StatusCode, time.Since(began))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return Response{}, c.interrupted(req, err)
	}
	r := Response{Status: res.StatusCode, Header: res.Header, Body: body}
	if overPlain(req, res.StatusCode, body) {
		return r, c.needsTLS(req)
	}
	if res.StatusCode >= 400 {
		return r, readError(r)
	}
	return r, nil
}

// interrupted says that an answer broke off: because the caller left, or else.
func (c *Client) interrupted(req *http.Request, err error) error {
	if req.Context().Err() != nil {
		return context.Cause(req.Context())
	}
	if req.URL.Scheme == "http" {
		return c.needsTLS(req)
	}
	return fmt.Errorf("the answer of %s broke off: %w", req.URL.Host, err)
}

// kinds maps statuses back to kinds of problems.
var kinds = map[int]problem.Kind{400: problem.Invalid, 401: problem.Unauthenticated, 403: problem.Denied, 404: problem.NotFound, 405: problem.NotAllowed,
	409: problem.Conflict, 412: problem.Precondition, 413: problem.TooLarge, 429: problem.Limited, 507: problem.Full, 501: problem.Unsupported, 503: problem.Unavailable}

// readError reads an error of any of the server's hosts.
func readError(r Response) error {
	var body struct {
		Error            json.RawMessage `json:"error"`
		ErrorDescription string          `json:"error_description"`
		Errors           []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Detail  struct {
				Hints []string `json:"hints"`
			} `json:"detail"`
		} `json:"errors"`
	}
	kind := kinds[r.Status]
	if code := r.Header.Get("x-ms-error-code"); code != "" {
		return readStorageError(kind, code, r)
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return problem.New(kind, fmt.Sprint(r.Status), "the server answered %d without saying why", r.Status)
	}
	if len(body.Errors) > 0 {
		p := problem.New(kind, body.Errors[0].Code, "%s", body.Errors[0].Message)
		p.Hints = body.Errors[0].Detail.Hints
		return p
	}
	if body.ErrorDescription != "" {
		var code string
		_ = json.Unmarshal(body.Error, &code) // stays empty if it is something else
		return problem.New(kind, code, "%s", body.ErrorDescription)
	}
	var e struct {
		Code, Message string
		Details       []struct{ Code, Message string }
	}
	if err := json.Unmarshal(body.Error, &e); err != nil || e.Code == "" {
		return problem.New(kind, fmt.Sprint(r.Status), "the server answered %d without saying why", r.Status)
	}
	p := problem.New(kind, e.Code, "%s", e.Message)
	for _, d := range e.Details {
		if d.Code == "Hint" {
			p.Hints = append(p.Hints, d.Message)
		}
	}
	return p
}

// readStorageError reads an error of the storage host, which says it in XML.
func readStorageError(kind problem.Kind, code string, r Response) error {
	var body struct{ Message string }
	if err := xml.Unmarshal(r.Body, &body); err != nil || body.Message == "" {
		body.Message = fmt.Sprintf("the storage host answered %d", r.Status)
	}
	return problem.New(kind, code, "%s", body.Message)
}

// Rest sends a request as it is to the management or the directory host, with a token for
// it. A path without a host means the management host.
func (c *Client) Rest(ctx context.Context, method, target string, header http.Header, body []byte) (Response, error) {
	if strings.HasPrefix(target, "/") {
		target = c.Management + target
	}
	audience := ""
	for _, host := range []string{c.Management, c.GraphURL} {
		if strings.HasPrefix(target, host+"/") {
			audience = host
		}
	}
	if audience == "" {
		return Response{}, problem.New(problem.Invalid, "InvalidArgument", "%s is on neither of %s and %s; no token is sent anywhere else", target, c.Management, c.GraphURL)
	}
	token, err := c.Token(ctx, audience)
	if err != nil {
		return Response{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return c.send(req)
}

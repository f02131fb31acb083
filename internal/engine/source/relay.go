package source

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// relay is the only server that a fetching git can reach. Its URLs look like
//
//	http://127.0.0.1:PORT/SECRET/https/host/path
//
// and it answers with what https://host/path answers. The secret keeps other
// programs of the machine from using it.
type relay struct {
	transport http.RoundTripper // to the host of where
	content   http.RoundTripper // to others
	where     location          // whose credential goes to its host, and to no other
	base      string            // http://127.0.0.1:PORT/SECRET/
	prefix    string            // /SECRET/
	server    *http.Server

	mu      sync.Mutex
	left    int64 // bytes that may still be downloaded
	problem error // the first thing that went wrong
}

// startRelay listens. The caller closes the relay.
func startRelay(ctx context.Context, f *Fetcher, where location) (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for git: %w", err)
	}
	r := &relay{transport: f.Transport, content: f.Content, where: where, left: f.maxBytes(),
		prefix: "/" + rand.Text() + "/"}
	if r.content == nil {
		r.content = r.transport
	}
	r.base = "http://" + listener.Addr().String() + r.prefix
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = r.server.Serve(listener) }() // ends with Close
	return r, nil
}

// Close ends the relay and what goes through it.
func (r *relay) Close() error { return r.server.Close() }

// address is the relay itself, as a proxy for whatever does not lead to it.
func (r *relay) address() string { return strings.TrimSuffix(r.base, r.prefix) }

// ServeHTTP implements http.Handler.
func (r *relay) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	rest, ok := strings.CutPrefix(request.URL.Path, r.prefix)
	scheme, rest, hasHost := strings.Cut(rest, "/")
	host, path, _ := strings.Cut(rest, "/")
	if !ok || !hasHost || host == "" || scheme != "http" && scheme != "https" {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	target := url.URL{Scheme: scheme, Host: host, Path: "/" + path, RawQuery: request.URL.RawQuery}
	response, err := r.forward(request, &target)
	if err != nil {
		r.fail(fmt.Errorf("%s cannot be reached: %w", target.Host, err))
		http.Error(w, "unreachable", http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	if response.StatusCode >= 400 {
		r.fail(statusError{response.StatusCode, response.Status, r.where.shown()})
	}
	r.answer(w, response, &target)
}

func (r *relay) forward(request *http.Request, target *url.URL) (*http.Response, error) {
	out, err := http.NewRequestWithContext(request.Context(), request.Method, target.String(), request.Body)
	if err != nil {
		return nil, err
	}
	out.ContentLength = request.ContentLength
	for name, values := range request.Header {
		if !strings.HasPrefix(name, "Proxy-") && name != "Authorization" && name != "Connection" {
			out.Header[name] = values
		}
	}
	if target.Host == r.where.url.Host && target.Scheme == r.where.url.Scheme {
		r.where.authorize(out.Header)
	}
	if target.Host != r.where.url.Host {
		return r.content.RoundTrip(out)
	}
	return r.transport.RoundTrip(out)
}

// answer passes a response on. A redirection to another host leads through the
// relay as well.
func (r *relay) answer(w http.ResponseWriter, response *http.Response, target *url.URL) {
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	if location := response.Header.Get("Location"); location != "" {
		if to, err := target.Parse(location); err == nil && to.Host != "" {
			w.Header().Set("Location", r.base+to.Scheme+"/"+strings.TrimPrefix(to.String(), to.Scheme+"://"))
		}
	}
	w.Header().Del("Connection")
	w.WriteHeader(response.StatusCode)
	if _, err := io.Copy(flushing{w}, &counted{response.Body, r}); err != nil {
		r.fail(err)
		panic(http.ErrAbortHandler) // so that git sees a broken answer, not a short one
	}
}

// flushing sends each piece on at once.
type flushing struct{ w http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if flusher, ok := f.w.(http.Flusher); ok && err == nil {
		flusher.Flush()
	}
	return n, err
}

// counted reads until the fetch has had all it may.
type counted struct {
	r     io.Reader
	relay *relay
}

var errTooLarge = errors.New("the context is larger than this server allows")

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.relay.mu.Lock()
	defer c.relay.mu.Unlock()
	if c.relay.left -= int64(n); c.relay.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// statusError is an answer that says no.
type statusError struct {
	code   int
	status string
	url    string
}

func (e statusError) Error() string {
	switch e.code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Sprintf("%s answers %s: it needs a credential, or another one", e.url, e.status)
	case http.StatusNotFound:
		return fmt.Sprintf("%s answers %s: it does not exist, or needs a credential", e.url, e.status)
	}
	return fmt.Sprintf("%s answers %s", e.url, e.status)
}

func (r *relay) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.problem == nil {
		r.problem = err
	}
}

// reason explains why git failed: by what the relay saw, if anything went wrong
// there, or by git's own words, in which URLs are the real ones.
func (r *relay) reason(stderr string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status statusError
	// A missing file is ordinary on a server of static files; then git knows better.
	if r.problem != nil && (!errors.As(r.problem, &status) || !strings.Contains(stderr, "couldn't find remote ref")) {
		return r.problem.Error()
	}
	for _, scheme := range []string{"https", "http"} {
		stderr = strings.ReplaceAll(stderr, r.base+scheme+"/", scheme+"://")
	}
	return strings.TrimSpace(stderr)
}

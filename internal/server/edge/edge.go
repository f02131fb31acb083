// Package edge is what every request passes first: routing by host, request ids,
// the access log, limits and the last resort for panics. One listener serves all
// hosts of the installation.
package edge

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Router sends requests to handlers by the Host header; case and port do not count.
// It is set up once and then safe for concurrent use.
type Router struct {
	Log *slog.Logger
	// Stall is how long nothing may move on a connection while a body is sent or received.
	// Default for ever.
	Stall time.Duration
	// LeastRate is how many bytes a second move at least while a client is waited for.
	// Default any.
	LeastRate int
	// Anonymous is how long a body may take of somebody who has not signed in. Default for
	// ever.
	Anonymous time.Duration
	// Proxies may say where a request comes from. Default nobody.
	Proxies Proxies
	// Context makes the context of a request. Default as it is.
	Context func(context.Context) context.Context

	untrusted sync.Once // told of a proxy that may not
	paths     map[string]http.Handler
	hosts     map[string]http.Handler
	below     []suffix
}

type suffix struct {
	text    string // ".azurecr.acrux.localhost"
	handler http.Handler
}

// Host serves one host.
func (r *Router) Host(name string, h http.Handler) {
	if r.hosts == nil {
		r.hosts = map[string]http.Handler{}
	}
	r.hosts[strings.ToLower(name)] = h
}

// Path serves a path at whatever host: of what is for those who do not know the hosts yet.
func (r *Router) Path(path string, h http.Handler) {
	if r.paths == nil {
		r.paths = map[string]http.Handler{}
	}
	r.paths[path] = h
}

// Below serves every host one label below domain.
func (r *Router) Below(domain string, h http.Handler) {
	r.below = append(r.below, suffix{text: "." + strings.ToLower(domain), handler: h})
}

// ServeHTTP implements http.Handler. Behind proxies that are trusted, handlers find the
// client's address in Request.RemoteAddr, without a port.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	began := time.Now()
	id := uuid.NewString()
	head := w.Header()
	head.Set("x-ms-request-id", id)
	head.Set("x-ms-correlation-request-id", id)
	head.Set("X-Content-Type-Options", "nosniff")
	if client := req.Header.Get("x-ms-client-request-id"); client != "" && len(client) <= 128 {
		head.Set("x-ms-client-request-id", client)
	}
	req.RemoteAddr = r.client(req)
	seen := &statusWriter{ResponseWriter: w}
	body, end := r.watch(seen, req)
	defer end()
	req, leave, ok := visiting(req, body)
	if !ok {
		tooMany(seen)
		return
	}
	defer leave()
	if r.Context != nil {
		req = req.WithContext(r.Context(req.Context()))
	}
	defer func() {
		if p := recover(); p != nil {
			r.panicked(seen, req, id, p)
		}
		r.Log.Debug("request", "id", id, "host", req.Host, "method", req.Method, "path", req.URL.Path,
			"status", seen.status, "took", time.Since(began), "from", req.RemoteAddr)
	}()
	r.handler(req).ServeHTTP(seen, req)
}

func (r *Router) handler(req *http.Request) http.Handler {
	if h, ok := r.paths[req.URL.Path]; ok {
		return h
	}
	host := HostName(req.Host)
	if h, ok := r.hosts[host]; ok {
		return h
	}
	for _, s := range r.below {
		label, ok := strings.CutSuffix(host, s.text)
		if ok && label != "" && !strings.Contains(label, ".") {
			return s.handler
		}
	}
	return http.HandlerFunc(unknownHost)
}

// HostName is host in lower case without its port.
func HostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(host)
}

func unknownHost(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(`{"error":{"code":"UnknownHost","message":"This server has no host of that name."}}` + "\n"))
}

// Absent is the handler of hosts of a service of Azure's that is not here: it says which.
func Absent(service string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = w.Write([]byte(`{"error":{"code":"NotImplemented","message":"` + service +
			` are not available in this version of Acrux."}}` + "\n"))
	})
}

func (r *Router) panicked(w *statusWriter, req *http.Request, id string, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	r.Log.Error("a handler panicked", "id", id, "method", req.Method, "path", req.URL.Path, "panic", p)
	if w.status == 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"error":{"code":"InternalServerError","message":"internal error, request ` + id + `"}}` + "\n"))
	}
}

// statusWriter remembers the status. It hands the connection's ReadFrom through, so
// that files still reach the socket by sendfile.
type statusWriter struct {
	http.ResponseWriter
	moving
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.extend()
	began := time.Now()
	n, err := w.ResponseWriter.Write(p)
	if w.slow(int64(n), time.Since(began)) && err == nil {
		err = errSlow
	}
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

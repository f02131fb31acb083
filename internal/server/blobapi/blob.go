// Package blobapi is the storage host, ACCOUNT.blob.DOMAIN: what Azure keeps in
// storage accounts and hands out by signed URLs: the logs of runs, and source code
// that was uploaded for one.
//
// A URL carries its own permission: an HMAC over account, path, permission, expiry and for
// whom it was made. There is no other authentication; but whether that principal still has
// the right, or that run is still executed, is asked for each request.
package blobapi

import (
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/server/edge"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/runlog"
	"github.com/acrux/acrux/internal/tasks/upload"
)

// LogAccount is the account that logs are read from.
const LogAccount = "acrlogs"

// container is the one container of the account: clients allow for exactly one
// segment in front of a blob's path.
const container = "logs"

// Server is the storage host.
type Server struct {
	Log     *slog.Logger
	Runs    *run.Service
	Logs    *runlog.Logs
	Uploads *upload.Uploads
	// Checker and Registries tell whether who got a URL still has the right to it.
	Checker    *rbac.Checker
	Registries *registry.Registries
	Domain     string // "acrux.localhost:8443"
	Key        []byte // signs URLs
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if version := r.Header.Get("x-ms-version"); len(version) <= 16 {
		w.Header().Set("x-ms-version", version)
	}
	if err := s.serve(w, r); err != nil {
		s.fail(w, r, err)
	}
}

var (
	errSignature = problem.New(problem.Denied, "AuthenticationFailed", "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.")
	errNoBlob    = problem.New(problem.NotFound, "BlobNotFound", "The specified blob does not exist.")
)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	account, _, _ := strings.Cut(edge.HostName(r.Host), ".")
	permission, ok := permissions[r.Method]
	switch {
	case !s.verified(account, r):
		return errSignature
	case !ok:
		return problem.New(problem.NotAllowed, "UnsupportedHttpVerb", "The resource doesn't support the specified HTTP verb.")
	case !strings.Contains(r.URL.Query().Get("sp"), permission):
		return problem.New(problem.Denied, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation using this permission.")
	}
	edge.SignedIn(r.Context())
	switch account {
	case LogAccount:
		return s.log(w, r)
	case SourceAccount:
		return s.source(w, r)
	}
	return errNoBlob
}

// complete maps final states to the word that ends a log, run-semantics 4.1.
var complete = map[run.Status]string{"Succeeded": "successful", "Failed": "failed", "Timeout": "timedout", "Canceled": "canceled", "Error": "internalerror"}

// log answers HEAD and GET of a run's log. The state is read before the size: a log
// that is said to be complete is all there.
func (s *Server) log(w http.ResponseWriter, r *http.Request) error {
	id, ok := logID(r.URL.Path)
	if !ok {
		return errNoBlob
	}
	if err := s.mayRead(r, id); err != nil {
		return err
	}
	state, err := s.Runs.Get(r.Context(), id)
	if problem.Is(err, problem.NotFound) {
		return errNoBlob
	}
	if err != nil {
		return err
	}
	key := runlog.Key{Registry: id.Parent().String(), RunID: id.Name()}
	size, modified, err := s.Logs.Size(key)
	if err != nil {
		return err
	}
	if word, ok := complete[state.Properties.Status]; ok {
		w.Header().Set("x-ms-meta-Complete", word)
	}
	if modified.IsZero() {
		modified = time.Now()
	}
	s.headers(w, size, modified)
	return s.content(w, r, key, size)
}

func (s *Server) headers(w http.ResponseWriter, size int64, modified time.Time) {
	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=utf-8")
	head.Set("x-ms-blob-type", "AppendBlob")
	head.Set("Accept-Ranges", "bytes")
	head.Set("ETag", fmt.Sprintf(`"0x%X"`, size))
	head.Set("Last-Modified", modified.UTC().Format(http.TimeFormat))
	head.Set("Cache-Control", "no-cache")
}

func (s *Server) content(w http.ResponseWriter, r *http.Request, key runlog.Key, size int64) error {
	text := r.Header.Get("x-ms-range")
	if text == "" {
		text = r.Header.Get("Range")
	}
	if text == "" || r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		if r.Method == http.MethodHead {
			return nil
		}
		return s.Logs.Copy(w, key, 0, size)
	}
	from, to, ok := parseRange(text, size)
	if !ok {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return problem.New(problem.Invalid, "InvalidRange", "The range specified is invalid for the current size of the resource.")
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, size))
	w.Header().Set("Content-Length", strconv.FormatInt(to-from+1, 10))
	w.WriteHeader(http.StatusPartialContent)
	return s.Logs.Copy(w, key, from, to-from+1)
}

// parseRange reads bytes=A-B or bytes=A-; B is clamped.
func parseRange(text string, size int64) (from, to int64, ok bool) {
	spec, found := strings.CutPrefix(text, "bytes=")
	a, b, cut := strings.Cut(spec, "-")
	from, err := strconv.ParseInt(a, 10, 64)
	if !found || !cut || err != nil || from < 0 || from >= size {
		return 0, 0, false
	}
	to = size - 1
	if b != "" {
		if to, err = strconv.ParseInt(b, 10, 64); err != nil || to < from {
			return 0, 0, false
		}
	}
	return from, min(to, size-1), true
}

// fail renders an error as storage does, in XML.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	status := p.Kind.Status()
	if p.Code == "InvalidRange" {
		status = http.StatusRequestedRangeNotSatisfiable
	}
	if p.Kind.Ours() && r.Context().Err() == nil {
		s.Log.Error("request failed", "id", w.Header().Get("x-ms-request-id"), "path", r.URL.Path, "err", err)
	}
	code := p.Code
	if p.Kind == problem.Away { // by which clients of storage know that they shall try again
		w.Header().Set("Retry-After", problem.RetryAfter)
		code = "ServerBusy"
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("x-ms-error-code", code)
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	_, _ = fmt.Fprint(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string   `xml:"Code"`
		Message string   `xml:"Message"`
	}{Code: code, Message: p.Message})
}

// logID is the ID of the run whose log a path names: the registry's ID stands in the
// path, then the run's.
func logID(path string) (arm.ID, bool) {
	rest, ok := strings.CutPrefix(path, "/"+container)
	i := strings.LastIndex(rest, "/")
	if !ok || i < 0 || !strings.HasSuffix(rest, ".log") {
		return arm.ID{}, false
	}
	registry, err := arm.ParseID(rest[:i])
	return registry.Child("runs", strings.TrimSuffix(rest[i+1:], ".log")), err == nil && len(registry.Names) == 1
}

// Package hooksapi is the host that git hosts send their deliveries to: hooks.DOMAIN. Each
// source trigger of a task has an address of its own there, whose ID nobody guesses, and a
// secret, without which nothing of a body is read.
//
//	POST /v1/ID ──trigger.HookOf──▶ githost.Read ──▶ trigger.Deliver
package hooksapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/githost"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

// MaxBody bounds a delivery, in bytes: GitHub sends none that is larger.
const MaxBody = 25 << 20

// atOnce is how many bodies are read at the same time that are not small: so much memory may
// strangers take who know an address.
const atOnce = 8

// small is what is read without waiting for a turn, in bytes: nearly all deliveries are.
const small = 256 << 10

// prefix is where the addresses of hooks begin.
const prefix = "/v1/"

// URL is the address of a hook at the URL of this host.
func URL(host, id string) string { return host + prefix + id }

// Server is the handler of the host. Its fields are set once; it is safe for concurrent use.
type Server struct {
	Log      *slog.Logger
	Triggers *trigger.Service

	reading chan struct{}
	refused refusals
}

// New returns a server.
func New(log *slog.Logger, triggers *trigger.Service) *Server {
	return &Server{Log: log, Triggers: triggers, reading: make(chan struct{}, atOnce),
		refused: refusals{last: map[string]*counted{}}}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	outcome, err := s.deliver(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, outcome)
}

// deliver takes one delivery. Problems say what the host's administrator is to do.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request) (trigger.Outcome, error) {
	ctx := r.Context()
	hook, err := s.hook(ctx, r)
	if err != nil {
		return trigger.Outcome{}, err
	}
	body, err := s.read(w, r)
	if err != nil {
		return trigger.Outcome{}, err
	}
	d, err := githost.Read(r.Header, body, hook.Secret.Reveal())
	if err == nil {
		var outcome trigger.Outcome
		if outcome, err = s.Triggers.Deliver(ctx, hook.Source, d, time.Now()); err == nil {
			return outcome, nil
		}
	}
	for _, known := range []struct {
		err  error
		kind problem.Kind
		code string
	}{
		{githost.ErrForged, problem.Unauthenticated, "Forged"},
		{trigger.ErrReplayed, problem.Unauthenticated, "Replayed"},
		{githost.ErrUnreadable, problem.Invalid, "Unreadable"},
	} {
		if errors.Is(err, known.err) {
			err = s.refuse(r, hook.Source, problem.New(known.kind, known.code, "The delivery was refused: %v.", err))
			break
		}
	}
	return trigger.Outcome{}, err
}

func (s *Server) hook(ctx context.Context, r *http.Request) (trigger.Hook, error) {
	id, ok := strings.CutPrefix(r.URL.Path, prefix)
	if ok && r.Method != http.MethodPost {
		return trigger.Hook{}, errMethod
	}
	hook, err := trigger.Hook{}, resource.ErrNotFound
	if ok && id != "" {
		hook, err = s.Triggers.HookOf(ctx, id)
	}
	if errors.Is(err, resource.ErrNotFound) {
		return hook, problem.New(problem.NotFound, "UnknownHook",
			"No source trigger has this address; its task may have been deleted.")
	}
	return hook, err
}

var (
	errMethod = errors.New("only POST")
	errLarge  = errors.New("the body is too large")
)

// read reads a body of bounded size, in its turn.
func (s *Server) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxBody {
		return nil, errLarge
	}
	if r.ContentLength < 0 || r.ContentLength > small {
		select {
		case s.reading <- struct{}{}:
			defer func() { <-s.reading }()
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, errLarge
	}
	if err != nil {
		return nil, problem.New(problem.Invalid, "UnreadableBody", "The body did not arrive whole.")
	}
	return body, nil
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem.Error
	switch {
	case errors.Is(err, errMethod):
		w.Header().Set("Allow", http.MethodPost)
		refusal(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "Deliveries are sent with POST.")
	case errors.Is(err, errLarge):
		w.Header().Set("Connection", "close")
		refusal(w, http.StatusRequestEntityTooLarge, "TooLarge", "A delivery has at most 25 MiB.")
	case errors.As(err, &p) && !p.Kind.Ours():
		refusal(w, p.Kind.Status(), p.Code, p.Message)
	default:
		if r.Context().Err() == nil {
			s.Log.Error("a delivery could not be taken; its host may send it again", "err", err)
		}
		w.Header().Set("Retry-After", "10")
		refusal(w, http.StatusServiceUnavailable, "Unavailable", "The delivery could not be taken for now: send it again.")
	}
}

func refusal(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who has gone, has gone
}

package hooksapi

import (
	"net/http"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

// quiet is how long refused deliveries to one address are counted before they are told again.
const quiet = time.Minute

// refusals counts the deliveries that were refused, by the address. There are as many as there
// are addresses that exist, no more.
type refusals struct {
	mu   sync.Mutex
	last map[string]*counted
}

type counted struct {
	told  time.Time
	since int // refused after that
}

// count returns how many there were since it was told last, and whether to tell it now.
func (r *refusals) count(id string, now time.Time) (n int, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.last[id]
	if one == nil {
		one = &counted{}
		r.last[id] = one
	}
	one.since++
	if now.Sub(one.told) < quiet {
		return one.since, false
	}
	n = one.since
	one.told, one.since = now, 0
	return n, true
}

// refuse counts a delivery that is not taken, and tells the log and the task's owner once in a
// minute: else who knows an address could fill both.
func (s *Server) refuse(r *http.Request, source trigger.Source, p *problem.Error) error {
	n, tell := s.refused.count(source.ID, time.Now())
	if !tell {
		return p
	}
	s.Log.Warn("deliveries of a git host were refused", "task", source.Task.String(), "trigger", source.Name,
		"times", n, "why", p.Code, "from", r.RemoteAddr)
	if err := s.Triggers.Refuse(r.Context(), source, p.Message, time.Now()); err != nil {
		s.Log.Error("noting a refused delivery failed", "err", err)
	}
	return p
}

package run

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/tasks/lease"
)

// lookAround is how long an agent counts as there after it has asked for work or told of
// a run. It is longer than any agent is silent.
const lookAround = 2 * Term

// roster remembers which agents there are, and why there is none of this server's own.
type roster struct {
	mu     sync.Mutex
	seen   map[lease.Agent]time.Time
	absent string
}

func (r *roster) note(agent lease.Agent, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[lease.Agent]time.Time{}
	}
	maps.DeleteFunc(r.seen, func(_ lease.Agent, at time.Time) bool { return now.Sub(at) >= lookAround })
	r.seen[agent] = now
}

// busy notes the agent that holds a run: it is there, too. Who took the run before this process
// began is known by what the run needs.
func (r *roster) busy(row Row, now time.Time) {
	agent := lease.Agent{Name: row.Agent, Pool: row.Pool, OS: row.OS, Arch: row.Arch}
	r.mu.Lock()
	for known := range r.seen {
		if known.Name == row.Agent && known.Pool == row.Pool {
			agent = known
		}
	}
	r.mu.Unlock()
	r.note(agent, now)
}

// fits reports whether an agent can execute a run.
func fits(agent lease.Agent, row Row) bool {
	return agent.Pool == row.Pool && agent.OS == row.OS && (row.Arch == anyArch || agent.Arch == row.Arch)
}

// has reports whether there is an agent that can execute the run.
func (r *roster) has(row Row, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for agent, at := range r.seen {
		if fits(agent, row) && now.Sub(at) < lookAround {
			return true
		}
	}
	return false
}

// platforms are those of the agents of a pool.
func (r *roster) platforms(pool string, now time.Time) (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for agent, at := range r.seen {
		if agent.Pool == pool && now.Sub(at) < lookAround && agent.Arch != anyArch {
			all = append(all, agent.OS+"/"+agent.Arch)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// NoAgent says why the agent of this server is not there, and what helps; empty says that it is,
// or will be in a moment. Whoever may see a run that waits is told.
func (s *Service) NoAgent(why string) {
	s.agents.mu.Lock()
	defer s.agents.mu.Unlock()
	s.agents.absent = why
}

func (r *roster) absence(pool string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pool != "" {
		return "" // has agents elsewhere
	}
	return r.absent
}

// missing says for which agents a run waits that are not there, and why they are not. It is sure
// unless the server may just have been started.
func (s *Service) missing(row Row, now time.Time) (text string, sure bool) {
	wanted := row.OS
	if row.Arch != anyArch {
		wanted += "/" + row.Arch
	}
	text, sure = "there is no agent for "+wanted, row.Pool != ""
	if row.Pool != "" {
		text = fmt.Sprintf("the agent pool '%s' has no agent for %s", row.Pool, wanted)
	}
	if others := s.agents.platforms(row.Pool, now); len(others) > 0 {
		sure = true
		text += fmt.Sprintf(", only for %s: steps are executed on an agent of the run's platform; an image for another "+
			"platform is made by az acr build --platform, or by --platform in a build step", strings.Join(others, ", "))
	}
	if why := s.agents.absence(row.Pool); why != "" {
		sure = true
		text += ": " + why
	}
	return text, sure
}

// waiting is what a queued run says while nobody can take it.
func (s *Service) waiting(row Row, now time.Time) (text string, sure bool) {
	text, sure = s.missing(row, now)
	end := row.deadline().UTC().Format(time.RFC3339)
	return fmt.Sprintf("waiting: %s; the run ends at %s unless an agent comes", text, end), sure
}

// poolKey is the name of a pool without case, as rows and agents have it.
func poolKey(name string) string { return strings.ToLower(name) }

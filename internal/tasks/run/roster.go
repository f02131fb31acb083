package run

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/tasks/lease"
)

// lookAround is how long an agent counts as there after it has asked for work or told of
// a run. It is longer than any agent is silent.
const lookAround = 2 * Term

// roster remembers which kinds of agents there are. A kind is an agent without its name.
type roster struct {
	mu   sync.Mutex
	seen map[lease.Agent]time.Time
}

func (r *roster) note(agent lease.Agent, now time.Time) {
	agent.Name = ""
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[lease.Agent]time.Time{}
	}
	r.seen[agent] = now
}

func (r *roster) has(kind lease.Agent, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.seen[kind]
	return ok && now.Sub(at) < lookAround
}

// lonely says for which agents a run waits that are not there.
func lonely(kind lease.Agent) string {
	if kind.Pool == "" {
		return fmt.Sprintf("waiting: there is no agent for %s/%s", kind.OS, kind.Arch)
	}
	return fmt.Sprintf("waiting: the agent pool '%s' has no agent for %s/%s", kind.Pool, kind.OS, kind.Arch)
}

// poolKey is the name of a pool without case, as rows and agents have it.
func poolKey(name string) string { return strings.ToLower(name) }

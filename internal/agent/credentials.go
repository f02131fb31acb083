package agent

import (
	"context"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
)

// Refresh tokens do not outlive the longest runs, so they are renewed on the way.
const (
	renewAfter = time.Hour
	renewAgain = time.Minute // after a renewal that failed
	renewLimit = 30 * time.Second
)

// credentials are those of a run, by registry. It implements engine.Credentials.
type credentials struct {
	mu     sync.Mutex
	byHost map[string]*entry
	told   map[string]bool
	asked  func(host string) // is called for each host that is asked as somebody, once; or nil
}

// entry is a credential; one that can be renewed says how, and when.
type entry struct {
	renew func(context.Context) (engine.Credential, error)

	mu         sync.Mutex // held while it is renewed: who needs another one does not wait
	credential engine.Credential
	due        time.Time
}

// current renews the credential first if it is time; if that fails, the old one may still
// do.
func (e *entry) current() engine.Credential {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.renew == nil || time.Now().Before(e.due) {
		return e.credential
	}
	ctx, cancel := context.WithTimeout(context.Background(), renewLimit)
	defer cancel()
	renewed, err := e.renew(ctx)
	if err != nil {
		e.due = time.Now().Add(renewAgain)
		return e.credential
	}
	e.credential, e.due = renewed, time.Now().Add(renewAfter)
	return renewed
}

// Credential implements engine.Credentials. It renews an old credential first.
func (c *credentials) Credential(host string) (engine.Credential, bool) {
	found := c.find(host)
	if found == nil {
		return engine.Credential{}, false
	}
	return found.current(), true
}

func (c *credentials) find(host string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell(host)
	return c.byHost[egress.CanonicalHost(host)]
}

func (c *credentials) tell(host string) {
	if c.told == nil {
		c.told = map[string]bool{}
	}
	if host = egress.CanonicalHost(host); c.asked != nil && !c.told[host] {
		c.told[host] = true
		c.asked(host)
	}
}

// tellName says once that a public name means a registry here: whoever reads the log would
// take it for another one.
func (r *run) tellName(host string) {
	if server, ok := r.agent.PublicName(host); ok {
		r.log.Printf("%s means the registry %s of this installation", host, server)
	}
}

func (c *credentials) has(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byHost[egress.CanonicalHost(host)] != nil
}

func (c *credentials) set(host string, found *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHost == nil {
		c.byHost = map[string]*entry{}
	}
	c.byHost[egress.CanonicalHost(host)] = found
}

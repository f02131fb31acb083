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
	renewLimit = 30 * time.Second
)

// credentials are those of a run, by registry. It implements engine.Credentials.
type credentials struct {
	mu     sync.Mutex
	byHost map[string]*entry
}

// entry is a credential; one that can be renewed says how, and how old it is.
type entry struct {
	credential engine.Credential
	renew      func(context.Context) (engine.Credential, error)
	at         time.Time
}

// Credential implements engine.Credentials. It renews an old credential first; if
// that fails, the old one may still do.
func (c *credentials) Credential(host string) (engine.Credential, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.byHost[egress.CanonicalHost(host)]
	if !ok {
		return engine.Credential{}, false
	}
	if found.renew != nil && time.Since(found.at) > renewAfter {
		ctx, cancel := context.WithTimeout(context.Background(), renewLimit)
		defer cancel()
		if renewed, err := found.renew(ctx); err == nil {
			found.credential = renewed
		}
		found.at = time.Now()
	}
	return found.credential, true
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

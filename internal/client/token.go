package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/secret"
)

// tokenCache keeps tokens between commands: signing in anew for each would double
// the time of a small one.
type tokenCache struct {
	file string
	mu   sync.Mutex
	all  map[string]cached
}

type cached struct {
	Token   string    `json:"token"`
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires"`
}

// counts reports whether the token can be used: neither soon to expire nor, by a clock that
// was set back, from the future.
func (c cached) counts(now time.Time) bool {
	return !now.Before(c.Since.Add(-time.Minute)) && c.Expires.Sub(now) > spare
}

// spare is how long a token must still count to be used.
const spare = 5 * time.Minute

func (t *tokenCache) get(key string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[string]cached{}
		if text, err := os.ReadFile(t.file); err == nil {
			_ = json.Unmarshal(text, &t.all) // a broken cache is an empty one
		}
		if t.all == nil {
			t.all = map[string]cached{} // the file said null
		}
	}
	c, ok := t.all[key]
	return c.Token, ok && c.counts(time.Now())
}

func (t *tokenCache) put(key, token string, expires time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, c := range t.all {
		if time.Until(c.Expires) < 0 {
			delete(t.all, k)
		}
	}
	t.all[key] = cached{Token: token, Since: time.Now(), Expires: expires}
	if t.file == "" {
		return
	}
	if text, err := json.Marshal(t.all); err == nil {
		_ = secret.WriteFile(t.file, text) // without a cache everything works, slower
	}
}

// Forget throws the identity tokens of the client's principal away: the next are asked
// for anew.
func (c *Client) Forget() { c.tokens.forget(c.Authority + " " + c.who() + " ") }

// forget removes what begins with prefix.
func (t *tokenCache) forget(prefix string) {
	t.get("") // reads the file
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.all {
		if strings.HasPrefix(key, prefix) {
			delete(t.all, key)
		}
	}
}

// Token returns an identity token for an audience.
func (c *Client) Token(ctx context.Context, audience string) (string, error) {
	key := strings.Join([]string{c.Authority, c.who(), audience}, " ")
	if text, ok := c.tokens.get(key); ok {
		return text, nil
	}
	text, expires, err := c.signIn(ctx, audience)
	if err == nil {
		c.tokens.put(key, text, expires)
	}
	return text, err
}

func (c *Client) postForm(ctx context.Context, target string, form url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.send(req)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(res.Body, out); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err)
	}
	return nil
}

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

	"github.com/acrux/acrux/internal/access/secret"
	"github.com/acrux/acrux/internal/arm/problem"
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
	Expires time.Time `json:"expires"`
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
	return c.Token, ok && time.Until(c.Expires) > spare
}

func (t *tokenCache) put(key, token string, expires time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, c := range t.all {
		if time.Until(c.Expires) < 0 {
			delete(t.all, k)
		}
	}
	t.all[key] = cached{Token: token, Expires: expires}
	if t.file == "" {
		return
	}
	if text, err := json.Marshal(t.all); err == nil {
		_ = secret.WriteFile(t.file, text) // without a cache everything works, slower
	}
}

// Token returns an identity token for an audience.
func (c *Client) Token(ctx context.Context, audience string) (string, error) {
	key := strings.Join([]string{c.Authority, c.ClientID, audience}, " ")
	if text, ok := c.tokens.get(key); ok {
		return text, nil
	}
	if c.ClientID == "" || c.Secret.Empty() {
		return "", problem.New(problem.Unauthenticated, "NotSignedIn", "nobody is signed in").
			Hint(`eval "$(acrux env --data DIR)"`).Hint("acrux login --service-principal --username ID --password SECRET --tenant TENANT")
	}
	text, expires, err := c.signIn(ctx, audience)
	if err == nil {
		c.tokens.put(key, text, expires)
	}
	return text, err
}

func (c *Client) signIn(ctx context.Context, audience string) (string, time.Time, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.Secret.Reveal()}, "scope": {audience + "/.default"}}
	var out struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	err := c.postForm(ctx, c.Authority+"/oauth2/token", form, &out)
	return out.AccessToken, time.Now().Add(time.Duration(out.ExpiresIn) * time.Second), err
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

package assertion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Keys fetches and keeps the public keys of issuers: OpenID Connect Discovery, section 4,
// and the key set (RFC 7517) that the issuer's configuration names. It is safe for
// concurrent use, and at most one request at a time goes to an issuer.
type Keys struct {
	client  *http.Client
	mu      sync.Mutex
	issuers map[string]*issuer
}

// issuer is what is kept of one.
type issuer struct {
	mu      sync.Mutex
	keys    map[string][]any // by their IDs
	fetched time.Time        // when the keys were
	tried   time.Time
	failed  error // why the last try was none
}

// How long keys are kept, and how often an issuer is asked.
const (
	keysFresh  = time.Hour        // then they are fetched again
	keysStale  = 24 * time.Hour   // then they are not used any more, if the issuer does not answer
	retryAfter = 30 * time.Second // between two tries
)

// Bounds of what other people's servers can make this one keep.
const (
	maxIssuers  = 200
	maxDocument = 256 << 10 // bytes
	maxKeys     = 100
	fetchTime   = 10 * time.Second
)

// NewKeys returns an empty set that dials with transport, which must be guarded: users
// say who the issuers are.
func NewKeys(transport http.RoundTripper) *Keys {
	return &Keys{client: &http.Client{Transport: transport, Timeout: fetchTime, CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect }}, issuers: map[string]*issuer{}}
}

var errRedirect = errors.New("redirects are not followed")

// Get returns the keys of an issuer that have the ID, all of them if it is empty; ErrKeys
// if they cannot be had, ErrInvalid if there is no such key.
func (k *Keys) Get(ctx context.Context, name, kid string, now time.Time) (any, error) {
	is := k.issuer(name)
	is.mu.Lock()
	defer is.mu.Unlock()
	age := now.Sub(is.fetched)
	if found := is.find(kid); found != nil && age < keysFresh {
		return found, nil
	}
	if now.Sub(is.tried) >= retryAfter {
		is.tried = now
		keys, err := k.fetch(ctx, name)
		if err == nil {
			is.keys, is.fetched, age = keys, now, 0
		}
		is.failed = err
	}
	switch found := is.find(kid); {
	case found != nil && age < keysStale:
		return found, nil
	case is.failed != nil:
		return nil, fmt.Errorf("%w: %w", ErrKeys, is.failed)
	}
	return nil, fmt.Errorf("%w: the issuer has no key '%s'", ErrInvalid, kid)
}

// issuer finds what is kept of one. When there are many, one is forgotten.
func (k *Keys) issuer(name string) *issuer {
	k.mu.Lock()
	defer k.mu.Unlock()
	if is, ok := k.issuers[name]; ok {
		return is
	}
	if len(k.issuers) >= maxIssuers {
		for other := range k.issuers { // any will do: it is fetched again when it is needed
			delete(k.issuers, other)
			break
		}
	}
	is := &issuer{}
	k.issuers[name] = is
	return is
}

func (is *issuer) find(kid string) any {
	var set jwt.VerificationKeySet
	for id, keys := range is.keys {
		if kid == "" || id == kid {
			for _, key := range keys {
				set.Keys = append(set.Keys, key)
			}
		}
	}
	if len(set.Keys) == 0 {
		return nil
	}
	return set
}

func (k *Keys) fetch(ctx context.Context, name string) (map[string][]any, error) {
	// Others may wait for the same keys: they do not fail with this request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	var configuration struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := k.get(ctx, strings.TrimSuffix(name, "/")+"/.well-known/openid-configuration", &configuration); err != nil {
		return nil, err
	}
	if configuration.Issuer != name {
		return nil, fmt.Errorf("the configuration of '%s' is that of '%s'", name, configuration.Issuer)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, configuration.Keys, &set); err != nil {
		return nil, err
	}
	return parseKeys(set.Keys)
}

func (k *Keys) get(ctx context.Context, address string, into any) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Errorf("'%s' is not an https URL", address)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	response, err := k.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", u.Host, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", u.Host, err)
	}
	if len(text) > maxDocument {
		return fmt.Errorf("the answer of %s has more than %d bytes", u.Host, maxDocument)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the answer of %s is not the JSON that is expected", u.Host)
	}
	return nil
}

// parseKeys reads the public keys of a set that are for signatures. Those that are not
// understood are left out: a token signed with one is refused for want of a key.
func parseKeys(texts []json.RawMessage) (map[string][]any, error) {
	if len(texts) > maxKeys {
		return nil, fmt.Errorf("the issuer has %d keys, more than %d", len(texts), maxKeys)
	}
	keys := map[string][]any{}
	for _, text := range texts {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) != nil || !key.Valid() || !key.IsPublic() || key.Use == "enc" {
			continue
		}
		keys[key.KeyID] = append(keys[key.KeyID], key.Key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the issuer has no keys for signatures")
	}
	return keys, nil
}

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/wait"
)

// registryClient logs in to registries.
type registryClient struct {
	dialer   *egress.Dialer
	suffixes []string // of Azure's registries
	http     *http.Client
	mirrors  *http.Client // of mirrors alone
	exchange *http.Client // goes to no other host than it was sent to
}

func newRegistryClient(dialer *egress.Dialer, suffixes []string) *registryClient {
	direct := dialer.Transport()
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &registryClient{
		dialer: dialer, suffixes: suffixes, http: &http.Client{Transport: direct},
		mirrors:  &http.Client{Transport: dialer.MirrorTransport()},
		exchange: &http.Client{Transport: direct, CheckRedirect: stay},
	}
}

// userAgent is what Azure's runner calls itself.
const userAgent = "azure/acr/tasks"

// refreshUser is the user name that says: the password is a refresh token.
const refreshUser = "00000000-0000-0000-0000-000000000000"

// Calls to a registry: 1 + 3 attempts with a doubling pause, all within a limit.
const (
	loginAttempts = 4
	loginPause    = 250 * time.Millisecond
	loginLimit    = 5 * time.Minute
	maxAnswer     = 1 << 20
)

// at is the address of a registry, or of its mirror, and who asks there.
func (c *registryClient) at(host string) (base string, client *http.Client) {
	if mirror, ok := c.dialer.Mirror(host); ok {
		return strings.TrimSuffix(mirror.String(), "/"), c.mirrors
	}
	if egress.CanonicalHost(host) == "docker.io" {
		host = "registry-1.docker.io"
	}
	if c.dialer.PlainHTTP(host) {
		return "http://" + host, c.http
	}
	return "https://" + host, c.http
}

// answer is a registry's response, read to its end.
type answer struct {
	code   int
	status string
	header http.Header
	body   []byte
}

func do(client *http.Client, request *http.Request) (answer, error) {
	request.Header.Set("User-Agent", userAgent)
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return answer{response.StatusCode, response.Status, response.Header, body}, err
}

// refusal is an answer that no further attempt would change.
type refusal struct{ answer }

func (r *refusal) Error() string { return r.status }

// attempts calls f until it succeeds, is refused, or has failed too often.
func attempts(ctx context.Context, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, loginLimit)
	defer cancel()
	for try, pause := 1, loginPause; ; try, pause = try+1, 2*pause {
		err := f(limited)
		var refused *refusal
		if err == nil || errors.As(err, &refused) || try == loginAttempts || limited.Err() != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
	}
}

// judge makes an error of an answer that is not a success.
func judge(a answer) error {
	switch {
	case a.code < 300:
		return nil
	case a.code >= 500 || a.code == http.StatusTooManyRequests:
		return errors.New(a.status)
	}
	return &refusal{a}
}

// explanation is what registries say about a refusal.
type explanation struct {
	Errors []struct {
		Code    string          `json:"code"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	} `json:"errors"`
}

// explain returns the lines of a refusal: message and hints.
func (a answer) explain() []string {
	var body explanation
	if json.Unmarshal(a.body, &body) != nil {
		return nil
	}
	var lines []string
	for _, e := range body.Errors {
		var detail struct {
			Message string   `json:"message"`
			Hints   []string `json:"hints"`
		}
		_ = json.Unmarshal(e.Detail, &detail) // other registries put anything there
		lines = append(lines, strings.ToLower(e.Code)+": "+e.Message)
		if detail.Message != "" && detail.Message != e.Message {
			lines = append(lines, detail.Message)
		}
		for _, hint := range detail.Hints {
			lines = append(lines, "hint: "+hint)
		}
	}
	return lines
}

// verify checks a credential as docker login does: it asks for /v2/, answers the
// challenge and asks again.
func (c *registryClient) verify(ctx context.Context, host string, credential engine.Credential) error {
	return attempts(ctx, func(ctx context.Context) error {
		first, err := c.ping(ctx, host, func(http.Header) {})
		if err != nil {
			return err
		}
		if first.code != http.StatusUnauthorized {
			return judge(first)
		}
		authorize, err := c.respond(ctx, host, first.header.Get("WWW-Authenticate"), credential)
		if err != nil {
			return err
		}
		second, err := c.ping(ctx, host, authorize)
		if err != nil {
			return err
		}
		return judge(second)
	})
}

func (c *registryClient) ping(ctx context.Context, host string, authorize func(http.Header)) (answer, error) {
	base, client := c.at(host)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v2/", nil)
	if err != nil {
		return answer{}, err
	}
	authorize(request.Header)
	return do(client, request)
}

// respond answers a challenge: with the credential itself, or with a token got for it.
func (c *registryClient) respond(ctx context.Context, host, challenge string,
	credential engine.Credential) (func(http.Header), error) {
	basic := func(header http.Header) {
		(&http.Request{Header: header}).SetBasicAuth(credential.Username, credential.Password.Reveal())
	}
	scheme, params, _ := strings.Cut(challenge, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return basic, nil
	}
	fields := challengeFields(params)
	realm, err := url.Parse(fields["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "https" && !c.dialer.PlainHTTP(realm.Host) {
		return nil, &refusal{answer{status: "a challenge with the realm " + fields["realm"]}}
	}
	query := realm.Query()
	query.Set("service", fields["service"])
	query.Set("account", credential.Username)
	query.Set("client_id", "docker")
	realm.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		return nil, err
	}
	basic(request.Header)
	_, client := c.at(host)
	got, err := do(client, request)
	if err == nil {
		err = judge(got)
	}
	if err != nil {
		return nil, err
	}
	var body struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(got.body, &body); err != nil {
		return nil, fmt.Errorf("reading the token of %s: %w", realm.Host, err)
	}
	if body.Token == "" {
		body.Token = body.AccessToken
	}
	return func(header http.Header) { header.Set("Authorization", "Bearer "+body.Token) }, nil
}

// challengeFields reads key="value" pairs. Values may hold commas.
func challengeFields(params string) map[string]string {
	fields := map[string]string{}
	for params != "" {
		var key, value string
		key, params, _ = strings.Cut(params, "=")
		if rest, quoted := strings.CutPrefix(params, `"`); quoted {
			value, params, _ = strings.Cut(rest, `"`)
			_, params, _ = strings.Cut(params, ",")
		} else {
			value, params, _ = strings.Cut(params, ",")
		}
		fields[strings.ToLower(strings.Trim(key, " ,"))] = value
	}
	return fields
}

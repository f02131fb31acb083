package registryclient

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/acrux/acrux/internal/secret"
)

// Login checks a credential where a host's content is read, as docker login does: it asks for
// /v2/, answers the challenge, and asks again (Distribution's "Token Authentication
// Specification"). A mirror is asked without it. The error is a *Refusal if the registry does not
// take it.
func (c *Client) Login(ctx context.Context, host, username string, password secret.String) error {
	l := c.login(host, username, password)
	got, err := l.ask(ctx, http.MethodGet, l.place.Scheme+"://"+l.place.Host+"/v2/", nil)
	if err != nil {
		return err
	}
	return judge(host, got)
}

// login is one on its way.
type login struct {
	*Client
	place    Place
	username string // "" asks as nobody
	password secret.String
}

// login begins one where a host's content is read. A credential is for the registry itself: its
// mirror is another party.
func (c *Client) login(host, username string, password secret.String) *login {
	l := &login{Client: c, place: c.Reading(host)}
	if !l.place.Mirror {
		l.username, l.password = username, password
	}
	return l
}

func (l *login) send(request *http.Request) (Answer, error) {
	return By(l.HTTP(l.place), l.UserAgent)(request)
}

// ask sends a request, and if it is challenged, once more with what the challenge asks for.
func (l *login) ask(ctx context.Context, method, address string, header http.Header) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return Answer{}, err
	}
	maps.Copy(request.Header, header)
	first, err := l.send(request)
	if err != nil || first.Status != http.StatusUnauthorized {
		return first, err
	}
	authorize, err := l.respond(ctx, first.Header.Get("WWW-Authenticate"))
	if err != nil || authorize == nil {
		return first, err
	}
	again := request.Clone(ctx)
	authorize(again.Header)
	return l.send(again)
}

func (l *login) basic(header http.Header) {
	(&http.Request{Header: header}).SetBasicAuth(l.username, l.password.Reveal())
}

// respond answers a challenge: with the credential itself, or with a token got for it, or with
// nothing if that is all there is.
func (l *login) respond(ctx context.Context, challenge string) (func(http.Header), error) {
	scheme, params, _ := strings.Cut(challenge, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		if l.username == "" {
			return nil, nil
		}
		return l.basic, nil
	}
	request, err := l.tokenRequest(ctx, challengeFields(params))
	if err != nil {
		return nil, err
	}
	got, err := l.send(request)
	if err == nil {
		err = judge(request.URL.Host, got)
	}
	if err != nil {
		return nil, err
	}
	var body struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(got.Body, &body); err != nil {
		return nil, fmt.Errorf("reading the token of %s: %w", request.URL.Host, err)
	}
	if body.Token == "" {
		body.Token = body.AccessToken
	}
	return func(header http.Header) { header.Set("Authorization", "Bearer "+body.Token) }, nil
}

// tokenRequest asks the realm of a challenge, which gets the credential.
func (l *login) tokenRequest(ctx context.Context, fields map[string]string) (*http.Request, error) {
	realm, err := url.Parse(fields["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "https" && !l.plain(realm.Host) {
		return nil, &Refusal{Host: l.place.Host, Phrase: "a challenge with the realm " + fields["realm"]}
	}
	query := realm.Query()
	query.Set("service", fields["service"])
	if scope := fields["scope"]; scope != "" {
		query.Set("scope", scope)
	}
	if l.username != "" {
		query.Set("account", l.username)
		query.Set("client_id", "docker")
	}
	realm.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err == nil && l.username != "" {
		l.basic(request.Header)
	}
	return request, err
}

// plain reports whether a host of a realm may be spoken to without TLS: as its registry is.
func (l *login) plain(host string) bool {
	return l.Dialer.PlainHTTP(host) || l.place.Plain() && host == l.place.Host
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

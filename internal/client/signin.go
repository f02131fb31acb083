package client

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// Method is how a client signs in.
type Method string

// The methods.
const (
	BySecret      Method = ""            // a service principal with its secret
	ByCertificate Method = "certificate" // a service principal with a certificate
	ByFederation  Method = "federation"  // a service principal with another issuer's token
	ByIdentity    Method = "identity"    // the managed identity of where the program runs
	ByUser        Method = "user"        // a user, who has signed in before
)

// program is the public client that users of a command line sign in with, the same in
// every Azure.
const program = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

// who names the principal in the cache of tokens.
func (c *Client) who() string {
	if c.Method == ByUser {
		return c.UserName
	}
	return string(c.Method) + c.ClientID
}

// answer is what the token endpoint and identity endpoints answer. Times of the latter
// are texts.
type answer struct {
	AccessToken  string      `json:"access_token"`
	RefreshToken string      `json:"refresh_token"`
	IDToken      string      `json:"id_token"`
	ExpiresIn    json.Number `json:"expires_in"`
}

func (a *answer) expires() time.Time {
	seconds, err := strconv.Atoi(a.ExpiresIn.String())
	if err != nil {
		return time.Time{} // counts as expired
	}
	return time.Now().Add(time.Duration(seconds) * time.Second)
}

func (c *Client) signIn(ctx context.Context, audience string) (string, time.Time, error) {
	var got answer
	var err error
	switch c.Method {
	case ByIdentity:
		err = c.askIdentity(ctx, audience, &got)
	case ByUser:
		err = c.renew(ctx, audience, &got)
	default:
		var form url.Values
		if form, err = c.clientForm(); err == nil {
			form.Set("scope", audience+"/.default")
			err = c.postForm(ctx, c.tokenEndpoint(), form, &got)
		}
	}
	return got.AccessToken, got.expires(), err
}

func (c *Client) tokenEndpoint() string { return c.Authority + "/oauth2/token" }

func notSignedIn() error {
	return problem.New(problem.Unauthenticated, "NotSignedIn", "nobody is signed in").
		Hint(`eval "$(acrux env --data DIR)"`).Hint("acrux login --service-principal --username ID --password SECRET --tenant TENANT")
}

// clientForm is how a service principal proves itself.
func (c *Client) clientForm() (url.Values, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}}
	const bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	switch {
	case c.ClientID == "" || c.Method != ByCertificate && c.Secret.Empty():
		return nil, notSignedIn()
	case c.Method == ByCertificate:
		assertion, err := c.assertion(time.Now())
		if err != nil {
			return nil, fmt.Errorf("the certificate %s: %w", c.Certificate, err)
		}
		form["client_assertion"], form["client_assertion_type"] = []string{assertion}, []string{bearer}
	case c.Method == ByFederation:
		form["client_assertion"], form["client_assertion_type"] = []string{c.Secret.Reveal()}, []string{bearer}
	default:
		form.Set("client_secret", c.Secret.Reveal())
	}
	return form, nil
}

// assertionTTL is how long an assertion counts.
const assertionTTL = 5 * time.Minute

// assertion is signed with the certificate's key (RFC 7523, section 3).
func (c *Client) assertion(now time.Time) (string, error) {
	text, err := os.ReadFile(c.Certificate)
	if err != nil {
		return "", err
	}
	key, der, err := readCertificate(text)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodPS256, jwt.RegisteredClaims{Issuer: c.ClientID, Subject: c.ClientID, Audience: jwt.ClaimStrings{c.tokenEndpoint()},
		ID: uuid.NewString(), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(assertionTTL))})
	sum := sha256.Sum256(der)
	token.Header["x5t#S256"] = base64.RawURLEncoding.EncodeToString(sum[:])
	return token.SignedString(key)
}

// readCertificate finds a certificate and its RSA key in a PEM file.
func readCertificate(text []byte) (key *rsa.PrivateKey, der []byte, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			if der == nil {
				der = block.Bytes
			}
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			var any any
			if any, err = x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				key, _ = any.(*rsa.PrivateKey)
			}
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if key == nil || der == nil {
		return nil, nil, errors.New("it must have a certificate and its RSA key, in PEM form")
	}
	return key, der, nil
}

// metadataEndpoint is where a managed identity is found if no variable says where.
const metadataEndpoint = "http://169.254.169.254/metadata/identity/oauth2/token"

// askIdentity asks the identity endpoint of where the program runs: App Service's form if
// its variables are set, as in Acrux's steps, else that of virtual machines (az-wire 3.6).
func (c *Client) askIdentity(ctx context.Context, audience string, out *answer) error {
	query := url.Values{"resource": {audience}, "api-version": {"2018-02-01"}}
	if c.ClientID != "" {
		query.Set("client_id", c.ClientID)
	}
	endpoint, header := os.Getenv("IDENTITY_ENDPOINT"), os.Getenv("IDENTITY_HEADER")
	if endpoint == "" || header == "" {
		endpoint, header = metadataEndpoint, ""
	} else {
		query.Set("api-version", "2019-08-01")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Metadata", "true")
	req.Header.Set("X-IDENTITY-HEADER", header)
	// Not the client's own transport, which dials the server whatever the name is.
	plain := &Client{http: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}}
	res, err := plain.send(req)
	if err != nil {
		return fmt.Errorf("asking for the managed identity: %w", err)
	}
	return json.Unmarshal(res.Body, out)
}

// refreshKey is under which the cache has the user's refresh token.
func (c *Client) refreshKey() string { return "refresh " + c.Authority + " " + c.UserName }

// refreshTTL is how long a refresh token is kept; the server may end it sooner.
const refreshTTL = 90 * 24 * time.Hour

// renew gets a token of a user who has signed in before (RFC 6749, section 6).
func (c *Client) renew(ctx context.Context, audience string, out *answer) error {
	refresh, ok := c.tokens.get(c.refreshKey())
	if !ok {
		return problem.New(problem.Unauthenticated, "NotSignedIn", "the user %s has to sign in again", c.UserName).Hint("acrux login --use-device-code")
	}
	return c.userToken(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, audience, out)
}

// userToken asks for a token of a user, and keeps the refresh token that comes with it.
func (c *Client) userToken(ctx context.Context, form url.Values, audience string, out *answer) error {
	form.Set("client_id", program)
	form.Set("scope", audience+"/.default offline_access openid profile")
	if err := c.postForm(ctx, c.tokenEndpoint(), form, out); err != nil {
		return err
	}
	if name := userOf(out.IDToken); name != "" && form.Get("grant_type") != "refresh_token" {
		c.UserName = name // as the directory spells it
	}
	if out.RefreshToken != "" {
		c.tokens.get(c.refreshKey()) // what the file has stays in it
		c.tokens.put(c.refreshKey(), out.RefreshToken, time.Now().Add(refreshTTL))
	}
	return nil
}

// userOf is the name in an ID token. It is not verified: it came from the server itself.
func userOf(idToken string) string {
	var claims struct {
		jwt.RegisteredClaims
		Name string `json:"preferred_username"`
	}
	if _, _, err := jwt.NewParser().ParseUnverified(idToken, &claims); err != nil {
		return ""
	}
	return claims.Name
}

// SignInUser signs a user in with a password. The password is not kept.
func (c *Client) SignInUser(ctx context.Context, password secret.String) error {
	var got answer
	return c.userToken(ctx, url.Values{"grant_type": {"password"}, "username": {c.UserName}, "password": {password.Reveal()}}, c.Management, &got)
}

// AcceptInvitation chooses a user's password by an invitation, once, and finds out who the
// user is. Nobody is signed in by that.
func (c *Client) AcceptInvitation(ctx context.Context, invitation, password secret.String) error {
	var user struct{ Username string }
	form := url.Values{"invitation": {invitation.Reveal()}, "password": {password.Reveal()}}
	if err := c.postForm(ctx, c.Authority+"/invitation", form, &user); err != nil {
		return err
	}
	c.Method, c.UserName = ByUser, user.Username
	return nil
}

// SignInDevice signs a user in who lets this program in elsewhere, in a browser: show
// tells him where and how. It waits until he has, or the code has expired.
func (c *Client) SignInDevice(ctx context.Context, show func(message string)) error {
	var device struct {
		DeviceCode string `json:"device_code"`
		Message    string `json:"message"`
		Interval   int    `json:"interval"`
	}
	form := url.Values{"client_id": {program}, "scope": {c.Management + "/.default offline_access openid profile"}}
	if err := c.postForm(ctx, c.Authority+"/oauth2/devicecode", form, &device); err != nil {
		return err
	}
	show(device.Message)
	interval := time.Duration(max(1, device.Interval)) * time.Second
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(interval):
		}
		var got answer
		err := c.userToken(ctx, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device.DeviceCode}}, c.Management, &got)
		var p *problem.Error
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &p) || p.Code != "authorization_pending" && p.Code != "slow_down":
			return err
		case p.Code == "slow_down":
			interval += 5 * time.Second // RFC 8628, section 3.5
		}
	}
}

// Package token issues and verifies the tokens of the installation: identity tokens
// (who someone is, for one audience), and for registries refresh tokens (may ask for
// access) and access tokens (may do these actions on these repositories).
//
//	client secret ──▶ identity token ──▶ /oauth2/exchange ──▶ refresh token
//	                                     /oauth2/token    ──▶ access token ──▶ /v2/
//
// All are JWTs signed with ES256: issuing costs a twentieth of RS256, and clients
// read them without verifying. A token says who and for what it was made; it does
// not prove that the right still exists. The data plane asks rbac again for each
// request, so that a removed role assignment counts at once.
package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/memo"
	"github.com/acrux/acrux/internal/secret"
)

// KeyStore keeps sealed signing keys.
type KeyStore interface {
	SigningKeys(ctx context.Context) (map[string][]byte, error)
	PutSigningKey(ctx context.Context, id string, sealed []byte, now time.Time) error
}

// Issuer signs and verifies. It is safe for concurrent use.
type Issuer struct {
	TenantID string
	URL      string // the "iss" of every token: https://login.DOMAIN/TENANT/
	// Active tells whether a run is being executed, by the key of its ID: tokens that
	// somebody got within a run count as long. It is set before the first request; nil is
	// no run.
	Active func(ctx context.Context, run string) (bool, error)

	keys    map[string]*ecdsa.PrivateKey
	current string
	parser  *jwt.Parser

	// verified are tokens of registries whose signature was found good, by their SHA-256:
	// finding out takes longer than most requests.
	verified *memo.Memo[[32]byte, registryClaims]
}

// leeway is how far clocks may be apart.
const leeway = 5 * time.Second

// Open returns an issuer with the keys in store, making the first one.
func Open(ctx context.Context, store KeyStore, sealer *secret.Sealer, tenantID, url string, now time.Time) (*Issuer, error) {
	sealed, err := store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	is := &Issuer{TenantID: tenantID, URL: url, keys: map[string]*ecdsa.PrivateKey{}}
	is.parser = jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(url), jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))
	is.verified = memo.New[[32]byte, registryClaims](memo.Never, 10_000, nil)
	for id, blob := range sealed {
		if is.keys[id], err = openKey(sealer, id, blob); err != nil {
			return nil, err
		}
		is.current = id
	}
	if is.current == "" {
		err = is.newKey(ctx, store, sealer, now)
	}
	return is, err
}

func openKey(sealer *secret.Sealer, id string, sealed []byte) (*ecdsa.PrivateKey, error) {
	der, err := sealer.Open(sealed, "signing-key#"+id)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", id, err)
	}
	return x509.ParseECPrivateKey(der)
}

func (is *Issuer) newKey(ctx context.Context, store KeyStore, sealer *secret.Sealer, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	id := uuid.NewString()
	if err := store.PutSigningKey(ctx, id, sealer.Seal(der, "signing-key#"+id), now); err != nil {
		return fmt.Errorf("keeping the signing key: %w", err)
	}
	is.keys[id], is.current = key, id
	return nil
}

// ErrInvalid says that a token was not issued here, was changed, or is not of the
// kind or for the audience that is needed.
var ErrInvalid = errors.New("the token is not valid here")

// ErrExpired says that the token was valid once.
var ErrExpired = errors.New("the token has expired")

// ErrRunEnded says that a token was got within a run, which is over. It is an ErrExpired.
var ErrRunEnded = fmt.Errorf("%w: the run that it was got in is over", ErrExpired)

// Refused reports whether an error says that a token is not good, and not that nobody could
// tell.
func Refused(err error) bool { return errors.Is(err, ErrInvalid) || errors.Is(err, ErrExpired) }

// within returns ErrRunEnded for a token of a run that is over.
func (is *Issuer) within(ctx context.Context, run string) error {
	if run == "" {
		return nil
	}
	if is.Active == nil {
		return ErrRunEnded
	}
	active, err := is.Active(ctx, run)
	if err == nil && !active {
		err = ErrRunEnded
	}
	return err
}

func (is *Issuer) sign(claims jwt.Claims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	t.Header["kid"] = is.current
	return t.SignedString(is.keys[is.current])
}

func (is *Issuer) parse(text string, claims jwt.Claims) error {
	_, err := is.parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key, ok := is.keys[kid]; ok {
			return &key.PublicKey, nil
		}
		return nil, fmt.Errorf("unknown key %q", kid)
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrExpired
	case err != nil:
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func (is *Issuer) registered(subject string, now time.Time, ttl time.Duration) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{Issuer: is.URL, Subject: subject, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl))}
}

// JWK is a public key as RFC 7517 writes it.
type JWK struct {
	KeyType string `json:"kty"`
	Curve   string `json:"crv"`
	Use     string `json:"use"`
	Alg     string `json:"alg"`
	ID      string `json:"kid"`
	X       string `json:"x"`
	Y       string `json:"y"`
}

// JWKS is the set of public keys that verify the tokens of this issuer.
func (is *Issuer) JWKS() (map[string][]JWK, error) {
	keys := make([]JWK, 0, len(is.keys))
	for id, key := range is.keys {
		point, err := key.PublicKey.Bytes() // 4, then X and Y of 32 bytes each (SEC 1, 2.3.3)
		if err != nil {
			return nil, fmt.Errorf("encoding public key %s: %w", id, err)
		}
		keys = append(keys, JWK{KeyType: "EC", Curve: "P-256", Use: "sig", Alg: "ES256", ID: id,
			X: base64.RawURLEncoding.EncodeToString(point[1:33]), Y: base64.RawURLEncoding.EncodeToString(point[33:])})
	}
	return map[string][]JWK{"keys": keys}, nil
}

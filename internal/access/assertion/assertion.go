// Package assertion judges client assertions: JWTs by which a program proves to be an
// application or a managed identity without a secret (RFC 7521, RFC 7523).
//
// There are two sorts. A program signs an assertion itself, with the key of a
// certificate that the application has; such an assertion counts once for each audience
// that a token is asked for. Or an issuer that the application trusts has given the
// program a token, which is used for as long as it lives: a federated credential.
package assertion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/access/token"
)

// Why an assertion was not accepted. Their texts are for the caller, who learns what he
// knows already and what he needs to set it right.
var (
	// ErrInvalid says that it is no assertion of the client, or was changed.
	ErrInvalid = errors.New("the client assertion is not valid")
	// ErrExpired says that it was valid once, or will be.
	ErrExpired = errors.New("the client assertion is not within its valid time range")
	// ErrUsed says that it was used before for the same.
	ErrUsed = errors.New("the client assertion was used before: make another one for each request")
	// ErrIssuer says that the client trusts no such issuer.
	ErrIssuer = errors.New("no federated credential of the client has the issuer of the presented assertion")
	// ErrSubject says that the client trusts the issuer, for another subject.
	ErrSubject = errors.New("no federated credential of the client has the subject of the presented assertion")
	// ErrAudience says that the assertion was made for somebody else.
	ErrAudience = errors.New("the presented assertion was made for another audience")
	// ErrKeys says that the keys of the issuer could not be had.
	ErrKeys = errors.New("the keys of the issuer could not be fetched")
)

// Verifier judges assertions. Its fields are set once; it is safe for concurrent use.
type Verifier struct {
	Directory *identity.Directory
	// Trusts returns the federated credentials of a principal.
	Trusts func(ctx context.Context, p identity.Principal) ([]identity.Trust, error)
	// Issuer is this installation, whose tokens are accepted like those of others.
	Issuer *token.Issuer
	// SignIn remembers assertions that were used.
	SignIn *signin.Service
	// Keys fetches the keys of other issuers.
	Keys *Keys
	// Host is the login host, https://login.DOMAIN:PORT, for which programs make their
	// assertions.
	Host string
}

// maxLength bounds an assertion, in bytes.
const maxLength = 16 << 10

// leeway is by how much clocks may differ.
const leeway = 5 * time.Minute

// claims are what an assertion says.
type claims struct{ jwt.RegisteredClaims }

// Verify returns the principal that an assertion proves a program to be: the one with the
// client ID, or with the subject if the program names none. The assertion is used up for
// the audience. Errors are those above, identity.ErrNotFound, identity.ErrDisabled, or faults.
func (v *Verifier) Verify(ctx context.Context, id identity.ClientID, text, audience string, now time.Time) (identity.Principal, error) {
	var said claims
	if len(text) > maxLength {
		return identity.Principal{}, fmt.Errorf("%w: it has more than %d bytes", ErrInvalid, maxLength)
	}
	if _, _, err := jwt.NewParser().ParseUnverified(text, &said); err != nil {
		return identity.Principal{}, fmt.Errorf("%w: it is no JWT", ErrInvalid)
	}
	if id == "" {
		id = identity.ClientID(said.Subject)
	}
	p, err := v.Directory.PrincipalByClientID(ctx, id)
	if err != nil {
		return p, err
	}
	if p.ClientID.EqualFold(said.Issuer) {
		err = v.self(ctx, p, text, audience, now)
	} else {
		err = v.federated(ctx, &p, text, said, now)
	}
	if err == nil && p.Disabled {
		err = identity.ErrDisabled
	}
	return p, err
}

// parse verifies signature and times.
func parse(text string, methods []string, key jwt.Keyfunc, now time.Time) (claims, error) {
	var said claims
	parser := jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(func() time.Time { return now }))
	_, err := parser.ParseWithClaims(text, &said, key)
	switch {
	case err == nil:
		return said, nil
	case errors.Is(err, ErrKeys):
		return said, err
	case errors.Is(err, jwt.ErrTokenUnverifiable), errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return said, fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return said, ErrExpired
	}
	return said, fmt.Errorf("%w: %w", ErrInvalid, err)
}

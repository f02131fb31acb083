package assertion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/token"
)

// methods are the signatures that are accepted of other issuers: all with keys that the
// issuer alone has.
var methods = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}

// federated judges a token that another issuer gave to a program. Nobody is asked for
// keys whom the principal does not trust.
func (v *Verifier) federated(ctx context.Context, p *identity.Principal, text string, said claims,
	now time.Time) error {
	trusts, err := v.Trusts(ctx, *p)
	if err != nil {
		return err
	}
	trust, err := choose(trusts, said)
	if err != nil {
		return err
	}
	if trust.Issuer == v.Issuer.URL {
		return v.ours(ctx, p, text, trust)
	}
	key := func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		return v.Keys.Get(ctx, trust.Issuer, kid, now)
	}
	_, err = parse(text, methods, key, now)
	return err
}

// choose finds the federated credential that fits what a token says, or tells what does
// not fit.
func choose(trusts []identity.Trust, said claims) (identity.Trust, error) {
	err := fmt.Errorf("%w: '%s'", ErrIssuer, said.Issuer)
	for _, t := range trusts {
		switch {
		case t.Issuer != said.Issuer:
		case t.Subject != said.Subject:
			if errors.Is(err, ErrIssuer) {
				err = fmt.Errorf("%w: '%s'", ErrSubject, said.Subject)
			}
		case !slices.ContainsFunc(t.Audiences, func(a string) bool { return slices.Contains(said.Audience, a) }):
			err = fmt.Errorf("%w: %q; the federated credential '%s' has %q", ErrAudience, said.Audience, t.Name, t.Audiences)
		default:
			return t, nil
		}
	}
	return identity.Trust{}, err
}

// ours judges a token of this installation. Unlike others it knows whether the principal
// that the token was given to is still there. What was got within a run leads to no more
// than that: p acts within it as well.
func (v *Verifier) ours(ctx context.Context, p *identity.Principal, text string, trust identity.Trust) error {
	audiences := make([]string, len(trust.Audiences))
	for i, a := range trust.Audiences {
		audiences[i] = strings.TrimSuffix(a, "/")
	}
	caller, err := v.Issuer.VerifyIdentity(ctx, text, audiences)
	switch {
	case errors.Is(err, token.ErrExpired):
		return ErrExpired
	case token.Refused(err):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	case err != nil:
		return err
	case string(caller.ObjectID) != trust.Subject:
		return fmt.Errorf("%w: '%s'", ErrSubject, caller.ObjectID)
	}
	source, err := v.Directory.Principal(ctx, caller.ObjectID)
	if errors.Is(err, identity.ErrNotFound) || err == nil && source.Disabled {
		return fmt.Errorf("%w: its subject was disabled or deleted", ErrInvalid)
	}
	p.Within = caller.Within
	return err
}

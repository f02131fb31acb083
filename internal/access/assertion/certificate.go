package assertion

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
)

// maxLife is how far ahead the end of an assertion may be: for so long it is remembered.
const maxLife = 24 * time.Hour

// self judges an assertion that a program signed with a certificate of its application.
func (v *Verifier) self(ctx context.Context, p identity.Principal, text, audience string, now time.Time) error {
	credentials, err := v.Directory.Credentials(ctx, p.ClientID)
	if err != nil {
		return err
	}
	said, err := parse(text, []string{"RS256", "PS256"}, func(t *jwt.Token) (any, error) { return keysOf(credentials, t.Header, now) }, now)
	if err != nil {
		return err
	}
	switch {
	case !p.ClientID.EqualFold(said.Subject):
		return fmt.Errorf("%w: issuer and subject must both be the client ID", ErrInvalid)
	case !slices.ContainsFunc(said.Audience, v.own):
		return fmt.Errorf("%w: %q; it must be the token endpoint", ErrAudience, said.Audience)
	case said.ExpiresAt.Sub(now) > maxLife:
		return fmt.Errorf("%w: it lives for more than %v", ErrInvalid, maxLife)
	}
	// What was signed is what is remembered: the signature itself can be written in
	// several ways.
	signed := text[:strings.LastIndexByte(text, '.')]
	err = v.SignIn.UseAssertion(ctx, signed+"\x00"+audience, said.ExpiresAt.Add(leeway), now)
	if errors.Is(err, signin.ErrUsed) {
		err = ErrUsed
	}
	return err
}

// own reports whether an audience is the login host: its token endpoints, of which there
// is one for each form of authority, or the issuer.
func (v *Verifier) own(audience string) bool {
	rest, ok := strings.CutPrefix(audience, v.Host)
	return ok && (rest == "" || rest[0] == '/')
}

// keysOf returns the keys of those certificates that the header of an assertion names.
func keysOf(credentials []identity.Credential, header map[string]any, now time.Time) (any, error) {
	why := errors.New("none of the client's certificates is the one that the header names: az ad sp credential list --cert --id CLIENT_ID shows them")
	var set jwt.VerificationKeySet
	for _, c := range credentials {
		if c.Kind != identity.Certificate || !named(c, header) {
			continue
		}
		if !c.Valid(now) {
			why = fmt.Errorf("the certificate %s has expired, or is not valid yet", c.KeyID)
			continue
		}
		cert, err := x509.ParseCertificate(c.Certificate)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate %s: %w", c.KeyID, err)
		}
		set.Keys = append(set.Keys, cert.PublicKey)
	}
	if len(set.Keys) == 0 {
		return nil, why
	}
	return set, nil
}

// urlAlphabet turns base64 into the form that RFC 7515 wants: the Azure SDK for Go writes
// thumbprints in the other.
var urlAlphabet = strings.NewReplacer("+", "-", "/", "_")

// named reports whether a header names a certificate: by its thumbprints (RFC 7515,
// sections 4.1.7 and 4.1.8), in hexadecimal as well, or, without them, by one as the name
// of the key. A header that names nothing names all.
func named(c identity.Credential, header map[string]any) bool {
	sum1, sum256 := c.Thumbprints()
	is := func(name string, sums ...[]byte) (fits, given bool) {
		have, given := header[name].(string)
		have = urlAlphabet.Replace(strings.TrimRight(have, "="))
		return slices.ContainsFunc(sums, func(sum []byte) bool {
			return have == base64.RawURLEncoding.EncodeToString(sum) || strings.EqualFold(have, hex.EncodeToString(sum))
		}), given
	}
	fits1, given1 := is("x5t", sum1[:])
	fits256, given256 := is("x5t#S256", sum256[:])
	if given1 || given256 {
		return (fits1 || !given1) && (fits256 || !given256)
	}
	fits, given := is("kid", sum1[:], sum256[:])
	return fits || !given
}

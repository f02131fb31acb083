package token

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/oci"
)

// How long tokens count.
const (
	IdentityTTL = time.Hour
	ManagedTTL  = 24 * time.Hour
	RefreshTTL  = 3 * time.Hour
	AccessTTL   = time.Hour
)

// identityClaims are those of an identity token, with the names Azure uses. Audience
// hides the library's, which is written as a list; Azure writes one text. IDType is what
// sets identity tokens apart from ID tokens, which prove nothing to anybody but the client.
type identityClaims struct {
	jwt.RegisteredClaims
	Audience   string `json:"aud"`
	TenantID   string `json:"tid"`
	ObjectID   string `json:"oid"`
	AppID      string `json:"appid,omitempty"`
	IDType     string `json:"idtyp,omitempty"`
	ResourceID string `json:"xms_mirid,omitempty"`
	Scope      string `json:"scp,omitempty"`
	Name       string `json:"name,omitempty"`
	UserName   string `json:"upn,omitempty"`
	UniqueName string `json:"unique_name,omitempty"`
	Preferred  string `json:"preferred_username,omitempty"`
	Within     string `json:"acrux_run,omitempty"`
	Version    string `json:"ver"`
}

// Values of IDType.
const (
	idApp  = "app"
	idUser = "user"
)

func (is *Issuer) claims(p identity.Principal, audience string, now time.Time, ttl time.Duration) identityClaims {
	return identityClaims{RegisteredClaims: is.registered(string(p.ObjectID), now, ttl), Audience: audience,
		TenantID: is.TenantID, ObjectID: string(p.ObjectID), Version: "1.0"}
}

// Identity issues an identity token of a principal for an audience. The ClientID of a
// user is that of the program he uses.
func (is *Issuer) Identity(p identity.Principal, audience string, now time.Time, ttl time.Duration) (string, error) {
	claims := is.claims(p, audience, now, ttl)
	claims.AppID, claims.IDType, claims.ResourceID = string(p.ClientID), idApp, p.Resource
	claims.Within = p.Within
	if p.Kind == identity.User {
		claims.IDType, claims.Scope, claims.Name, claims.UserName, claims.UniqueName = idUser, "user_impersonation", p.DisplayName, p.UserName, p.UserName
	}
	return is.sign(claims)
}

// ID issues an ID token (OpenID Connect Core, section 2): it tells a program who has
// signed in, and opens nothing.
func (is *Issuer) ID(user identity.Principal, client identity.ClientID, now time.Time, ttl time.Duration) (string, error) {
	claims := is.claims(user, string(client), now, ttl)
	claims.Name, claims.UserName, claims.Preferred = user.DisplayName, user.UserName, user.UserName
	return is.sign(claims)
}

// Caller is who an identity token speaks for.
type Caller struct {
	ObjectID identity.ObjectID
	ClientID identity.ClientID
	Within   string // key of the run in which the token was got; it is active
}

// VerifyIdentity returns who an identity token speaks for, if it was made for one of
// the audiences. A trailing slash of an audience does not count. Errors that are not
// Refused are faults.
func (is *Issuer) VerifyIdentity(ctx context.Context, text string, audiences []string) (Caller, error) {
	var claims identityClaims
	if err := is.parse(text, &claims); err != nil {
		return Caller{}, err
	}
	if claims.IDType != idApp && claims.IDType != idUser {
		return Caller{}, ErrInvalid
	}
	if claims.ObjectID == "" || !slices.Contains(audiences, strings.TrimSuffix(claims.Audience, "/")) {
		return Caller{}, ErrWrongAudience
	}
	if err := is.within(ctx, claims.Within); err != nil {
		return Caller{}, err
	}
	return Caller{
		ObjectID: identity.ObjectID(claims.ObjectID), ClientID: identity.ClientID(claims.AppID), Within: claims.Within,
	}, nil
}

// ErrWrongAudience says that a token is genuine and made for something else. It is
// an ErrInvalid.
var ErrWrongAudience = wrongAudience{}

type wrongAudience struct{}

func (wrongAudience) Error() string        { return "the token was issued for another audience" }
func (wrongAudience) Is(target error) bool { return target == ErrInvalid }

// registryClaims are those of refresh and access tokens of a registry.
type registryClaims struct {
	jwt.RegisteredClaims
	Audience string       `json:"aud"`
	Type     string       `json:"grant_type"`
	TenantID string       `json:"tenant"`
	Run      string       `json:"run,omitempty"`
	Admin    string       `json:"admin,omitempty"`
	Token    string       `json:"token,omitempty"`
	Mark     string       `json:"mark,omitempty"`
	Within   string       `json:"within,omitempty"`
	Access   []oci.Access `json:"access,omitempty"`
}

const (
	typeRefresh = "refresh_token"
	typeAccess  = "access_token"
)

// Subject is who a registry token speaks for: a principal, a run, which may do with
// its own registry what tasks do, the admin user of the registry, a repository-scoped
// token of it, or nobody.
type Subject struct {
	Principal identity.ObjectID
	Run       string // key of the run's ID
	Admin     string // mark of the password with which the admin user signed in
	Token     string // name of a repository-scoped token
	Mark      string // of the password with which that signed in
	Within    string // key of the run that a principal acts in; empty outside of runs
}

// Anonymous reports whether the subject is nobody.
func (s Subject) Anonymous() bool { return s == Subject{} }

func (is *Issuer) registry(typ, registry string, subject Subject, access []oci.Access, now time.Time, ttl time.Duration) (string, error) {
	return is.sign(registryClaims{RegisteredClaims: is.registered(string(subject.Principal), now, ttl), Audience: registry, Type: typ,
		TenantID: is.TenantID, Run: subject.Run, Admin: subject.Admin, Token: subject.Token, Mark: subject.Mark,
		Within: subject.Within, Access: access})
}

// Refresh issues a refresh token of a registry, which is named in lower case.
func (is *Issuer) Refresh(registry string, subject Subject, now time.Time, ttl time.Duration) (string, error) {
	return is.registry(typeRefresh, registry, subject, nil, now, ttl)
}

// Access issues an access token of a registry.
func (is *Issuer) Access(registry string, subject Subject, access []oci.Access, now time.Time) (string, error) {
	return is.registry(typeAccess, registry, subject, access, now, AccessTTL)
}

// VerifyRefresh returns whom a refresh token of the registry speaks for.
func (is *Issuer) VerifyRefresh(ctx context.Context, text, registry string) (Subject, error) {
	subject, _, err := is.verifyRegistry(ctx, text, typeRefresh, registry)
	return subject, err
}

// VerifyAccess returns whom an access token of the registry speaks for, and to what.
func (is *Issuer) VerifyAccess(ctx context.Context, text, registry string) (Subject, []oci.Access, error) {
	return is.verifyRegistry(ctx, text, typeAccess, registry)
}

func (is *Issuer) verifyRegistry(ctx context.Context, text, typ, registry string) (Subject, []oci.Access, error) {
	parse := func(context.Context) (claims registryClaims, err error) { return claims, is.parse(text, &claims) }
	claims, err := is.verified.Get(ctx, sha256.Sum256([]byte(text)), parse)
	if err != nil {
		return Subject{}, nil, err
	}
	if time.Now().After(claims.ExpiresAt.Add(leeway)) { // it may be a while since it was verified
		return Subject{}, nil, ErrExpired
	}
	if claims.Type != typ {
		return Subject{}, nil, ErrInvalid
	}
	if claims.Audience != registry {
		return Subject{}, nil, ErrWrongAudience
	}
	if err := is.within(ctx, claims.Within); err != nil {
		return Subject{}, nil, err
	}
	subject := Subject{Principal: identity.ObjectID(claims.Subject), Run: claims.Run, Admin: claims.Admin,
		Token: claims.Token, Mark: claims.Mark, Within: claims.Within}
	return subject, claims.Access, nil
}

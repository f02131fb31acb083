// Package identity knows who can act: applications (service principals) and
// managed identities, user-assigned and system-assigned.
//
// A principal has several IDs and they are never the same thing. ObjectID is who it
// is: role assignments name it (Azure says principalId). AppID is what it signs in
// as: credentials name it (Azure says clientId or appId). A managed identity also
// has the ID of the resource where it lives.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/access/secret"
)

// ObjectID is who a principal is, in role assignments.
type ObjectID string

// ClientID is what a principal signs in as.
type ClientID string

// Kind is the kind of a principal.
type Kind string

// The kinds of principal.
const (
	Application     Kind = "Application"
	ManagedIdentity Kind = "ManagedIdentity"
)

// Principal is someone who can act.
type Principal struct {
	ObjectID    ObjectID
	ClientID    ClientID
	Kind        Kind
	DisplayName string
	Resource    string // managed identities: ID of the identity, or of the resource it is the system identity of
	SecretHash  string // applications with a secret
	Created     time.Time
}

// ErrNotFound says that there is no such principal.
var ErrNotFound = errors.New("no such principal")

// Store keeps principals. Its methods take part in ctx's transaction.
type Store interface {
	// Principal finds by object ID, or ErrNotFound.
	Principal(ctx context.Context, id ObjectID) (Principal, error)
	// PrincipalByClientID finds by client ID, or ErrNotFound.
	PrincipalByClientID(ctx context.Context, id ClientID) (Principal, error)
	// PrincipalsOf returns the principals that belong to a resource.
	PrincipalsOf(ctx context.Context, resourceKey string) ([]Principal, error)
	// Principals returns all, by display name.
	Principals(ctx context.Context) ([]Principal, error)
	PutPrincipal(ctx context.Context, p Principal) error
	// DeletePrincipal removes the principal and its role assignments.
	DeletePrincipal(ctx context.Context, id ObjectID) error
}

// Directory answers who is who, and makes principals.
type Directory struct {
	Store
	TenantID string
}

// NewManaged makes the principal of a managed identity that belongs to a resource.
func (d *Directory) NewManaged(ctx context.Context, name, resource string, now time.Time) (Principal, error) {
	p := Principal{ObjectID: ObjectID(uuid.NewString()), ClientID: ClientID(uuid.NewString()), Kind: ManagedIdentity,
		DisplayName: name, Resource: resource, Created: now}
	return p, d.PutPrincipal(ctx, p)
}

// NewApplication makes an application that signs in with a new random secret, of
// which only a hash is kept.
func (d *Directory) NewApplication(ctx context.Context, name string, now time.Time) (Principal, secret.String, error) {
	text := newSecret()
	p := Principal{ObjectID: ObjectID(uuid.NewString()), ClientID: ClientID(uuid.NewString()), Kind: Application,
		DisplayName: name, SecretHash: hashSecret(text), Created: now}
	return p, secret.New(text), d.PutPrincipal(ctx, p)
}

// Authenticate returns the application that signs in with this ID and secret;
// ErrNotFound if there is no such application, ErrWrongSecret if the secret is wrong.
func (d *Directory) Authenticate(ctx context.Context, id ClientID, text secret.String) (Principal, error) {
	p, err := d.PrincipalByClientID(ctx, id)
	if err != nil {
		return Principal{}, err
	}
	if p.SecretHash == "" || !checkSecret(p.SecretHash, text.Reveal()) {
		return Principal{}, ErrWrongSecret
	}
	return p, nil
}

// ErrWrongSecret says that the principal exists and the secret is not its own.
var ErrWrongSecret = errors.New("the secret is wrong")

// Find returns the principal that any of its IDs names.
func (d *Directory) Find(ctx context.Context, id string) (Principal, error) {
	id = strings.ToLower(id)
	p, err := d.Principal(ctx, ObjectID(id))
	if errors.Is(err, ErrNotFound) {
		return d.PrincipalByClientID(ctx, ClientID(id))
	}
	return p, err
}

// newSecret returns 256 random bits as text. The prefix lets scanners for leaked
// secrets find it.
func newSecret() string {
	p := make([]byte, 32)
	_, _ = rand.Read(p) // never fails (crypto/rand)
	return "acrux_" + base64.RawURLEncoding.EncodeToString(p)
}

// hashSecret is a salted SHA-256. A slow password hash would add nothing: the
// secrets are 256 random bits, never chosen by people.
func hashSecret(text string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	return hex.EncodeToString(salt) + ":" + hashWith(salt, text)
}

func hashWith(salt []byte, text string) string {
	sum := sha256.Sum256(append(salt, text...))
	return hex.EncodeToString(sum[:])
}

func checkSecret(hash, text string) bool {
	salt, want, _ := strings.Cut(hash, ":")
	raw, err := hex.DecodeString(salt)
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(hashWith(raw, text)), []byte(want)) == 1
}

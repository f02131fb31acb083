// Package identity knows who can act: users, applications with their service
// principals, and managed identities, user-assigned and system-assigned.
//
// A principal has several IDs and they are never the same thing. ObjectID is who it
// is: role assignments name it (Azure says principalId). ClientID is what it signs in
// as: credentials name it (Azure says clientId or appId). A managed identity also
// has the ID of the resource where it lives, and a user has a name in place of a
// ClientID.
//
// An application is a registration, which has credentials, and a service principal,
// which can be given rights. Both have the same ClientID and different object IDs.
package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/secret"
)

// ObjectID is who a principal is, in role assignments.
type ObjectID string

// ClientID is what a principal signs in as.
type ClientID string

// Kind is the kind of a principal.
type Kind string

// The kinds of principal.
const (
	Application     Kind = "Application" // the service principal of one
	ManagedIdentity Kind = "ManagedIdentity"
	User            Kind = "User"
)

// Principal is someone who can act.
type Principal struct {
	ObjectID    ObjectID
	ClientID    ClientID // empty for users
	UserName    string   // users: name@domain, in lower case
	Kind        Kind
	DisplayName string
	Resource    string // managed identities: ID of the identity, or of the resource it is the system identity of
	Disabled    bool   // may neither sign in nor use what it was given
	Within      string // key of the run that it acts in, for tokens made in that; never kept
	Created     time.Time
}

// Type is the kind as role assignments write it.
func (p Principal) Type() string {
	if p.Kind == User {
		return "User"
	}
	return "ServicePrincipal"
}

// Errors of a Store.
var (
	// ErrNotFound says that there is no such principal.
	ErrNotFound = errors.New("no such principal")
	// ErrExists says that a name or an ID is taken.
	ErrExists = errors.New("there is one already")
)

// Query selects objects of the directory, in the order of their display names in lower
// case, and of their object IDs where those are the same. What it returns decides how long
// it takes, not what there is.
type Query struct {
	Name   string   // only those of this display name, whatever its case; empty: of any
	Prefix string   // only those whose display name begins so, whatever its case
	Owner  ObjectID // of registrations, only those of this owner; empty: of all
	After  Place    // where the list goes on
	N      int      // how many at most; 0: all
}

// Place is the place of an object in a list; the zero Place is before all of them.
type Place struct {
	Name string // the display name in lower case
	ID   ObjectID
}

// Store keeps principals. Its methods take part in ctx's transaction.
type Store interface {
	resource.Transactor
	// Principal finds by object ID, or ErrNotFound.
	Principal(ctx context.Context, id ObjectID) (Principal, error)
	// PrincipalByClientID finds by client ID, or ErrNotFound.
	PrincipalByClientID(ctx context.Context, id ClientID) (Principal, error)
	// PrincipalByUserName finds a user whatever the case of the name, or ErrNotFound.
	PrincipalByUserName(ctx context.Context, name string) (Principal, error)
	// PrincipalsOf returns the principals that belong to a resource.
	PrincipalsOf(ctx context.Context, resourceKey string) ([]Principal, error)
	// Principals returns users, or everybody else, that the query selects.
	Principals(ctx context.Context, users bool, q Query) ([]Principal, error)
	// PutPrincipal writes one, new or not; ErrExists if its client ID or user name is
	// another's. A principal that is disabled loses its refresh tokens.
	PutPrincipal(ctx context.Context, p Principal) error
	// DeletePrincipal removes the principal with its role assignments and refresh tokens.
	DeletePrincipal(ctx context.Context, id ObjectID) error
	// PasswordHash returns that of a user, empty for everybody else.
	PasswordHash(ctx context.Context, id ObjectID) (string, error)
	// SetPasswordHash changes a user's password and removes the refresh tokens.
	SetPasswordHash(ctx context.Context, id ObjectID, hash string) error

	Registrations
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

// NewApplication registers an application that signs in with a new random secret, of
// which only a hash is kept, and returns its service principal.
func (d *Directory) NewApplication(ctx context.Context, name string, now time.Time) (p Principal, text secret.String, err error) {
	err = d.InTx(ctx, func(ctx context.Context) error {
		app, err := d.Register(ctx, name, "", now)
		if err != nil {
			return err
		}
		if _, text, err = d.AddSecret(ctx, app.ClientID, Credential{Start: now}); err != nil {
			return err
		}
		p, err = d.NewServicePrincipal(ctx, app.ClientID, now)
		return err
	})
	return p, text, err
}

// Why a principal that exists may not sign in. All of them are ErrWrongSecret.
var (
	// ErrWrongSecret says that the secret or password is not the principal's own.
	ErrWrongSecret = errors.New("the secret is wrong")
	// ErrSecretExpired says that the secret was right once, or will be.
	ErrSecretExpired = fmt.Errorf("the secret is not valid now: %w", ErrWrongSecret)
	// ErrDisabled says that the principal was disabled.
	ErrDisabled = fmt.Errorf("the principal is disabled: %w", ErrWrongSecret)
)

// Authenticate returns the service principal that signs in with this ID and secret;
// ErrNotFound if there is no such application, ErrWrongSecret if the secret is wrong,
// has expired or counts no longer.
func (d *Directory) Authenticate(ctx context.Context, id ClientID, text secret.String) (Principal, error) {
	p, err := d.PrincipalByClientID(ctx, id)
	if err != nil {
		return Principal{}, err
	}
	credentials, err := d.Credentials(ctx, p.ClientID)
	if err != nil {
		return Principal{}, err
	}
	if err := checkSecrets(credentials, text, time.Now()); err != nil {
		return Principal{}, err
	}
	if p.Disabled {
		return Principal{}, ErrDisabled
	}
	return p, nil
}

// Find returns the principal that any of its IDs names.
func (d *Directory) Find(ctx context.Context, id string) (Principal, error) {
	id = strings.ToLower(id)
	p, err := d.Principal(ctx, ObjectID(id))
	if errors.Is(err, ErrNotFound) {
		return d.PrincipalByClientID(ctx, ClientID(id))
	}
	return p, err
}

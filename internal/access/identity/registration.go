package identity

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name "x5t" of a certificate is its SHA-1 (RFC 7515, 4.1.7)
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// Registration is an application: a name under which a program signs in.
type Registration struct {
	ObjectID    ObjectID
	ClientID    ClientID
	DisplayName string
	Owner       ObjectID // who registered it, and may manage it
	Created     time.Time
}

// CredentialKind is what a credential is.
type CredentialKind string

// The kinds of credential.
const (
	Secret      CredentialKind = "Secret"
	Certificate CredentialKind = "Certificate"
)

// Credential is what an application proves itself with.
type Credential struct {
	KeyID       string // GUID
	ClientID    ClientID
	Kind        CredentialKind
	DisplayName string
	Hint        string // of a secret, three characters
	Hash        string // of a secret, salted
	Certificate []byte // DER
	Start, End  time.Time
}

// Valid reports whether the credential counts at a time. Without an end it always does.
func (c Credential) Valid(now time.Time) bool {
	return !now.Before(c.Start) && (c.End.IsZero() || now.Before(c.End))
}

// Thumbprints are the SHA-1 and the SHA-256 of a certificate.
func (c Credential) Thumbprints() (sum1 [20]byte, sum256 [32]byte) {
	return sha1.Sum(c.Certificate), sha256.Sum256(c.Certificate) //nolint:gosec // see the import
}

// Trust is a federated credential: tokens of an issuer for a subject are accepted in
// place of a secret.
type Trust struct {
	ID          string // GUID; empty for those of managed identities
	Name        string
	Issuer      string
	Subject     string
	Audiences   []string
	Description string
}

// Registrations keeps applications with what belongs to them.
type Registrations interface {
	// Registration finds by object ID, or ErrNotFound.
	Registration(ctx context.Context, id ObjectID) (Registration, error)
	// RegistrationByClientID finds by client ID, or ErrNotFound.
	RegistrationByClientID(ctx context.Context, id ClientID) (Registration, error)
	// Registrations returns those that the query selects.
	Registrations(ctx context.Context, q Query) ([]Registration, error)
	PutRegistration(ctx context.Context, r Registration) error
	// DeleteRegistration removes the application with its credentials. Its service
	// principal is removed by DeletePrincipal.
	DeleteRegistration(ctx context.Context, id ObjectID) error
	// Credentials returns those of an application, oldest first.
	Credentials(ctx context.Context, id ClientID) ([]Credential, error)
	PutCredential(ctx context.Context, c Credential) error
	// DeleteCredential removes one of the application; ErrNotFound if it has none such.
	DeleteCredential(ctx context.Context, id ClientID, keyID string) error
	// Trusts returns the federated credentials of an application, by name.
	Trusts(ctx context.Context, id ClientID) ([]Trust, error)
	// PutTrust writes one; ErrExists if another has its name, or its issuer and subject.
	PutTrust(ctx context.Context, id ClientID, t Trust) error
	DeleteTrust(ctx context.Context, id ClientID, trustID string) error
}

// MaxCredentials is how many credentials, and how many federated ones, an application
// or a managed identity may have.
const MaxCredentials = 20

// Register makes an application without a service principal and without credentials.
func (d *Directory) Register(ctx context.Context, name string, owner ObjectID, now time.Time) (Registration, error) {
	r := Registration{ObjectID: ObjectID(uuid.NewString()), ClientID: ClientID(uuid.NewString()), DisplayName: name, Owner: owner, Created: now}
	return r, d.PutRegistration(ctx, r)
}

// NewServicePrincipal makes the principal of an application, which has none: ErrExists.
func (d *Directory) NewServicePrincipal(ctx context.Context, id ClientID, now time.Time) (p Principal, err error) {
	err = d.InTx(ctx, func(ctx context.Context) error {
		app, err := d.RegistrationByClientID(ctx, id)
		if err != nil {
			return err
		}
		if _, err := d.PrincipalByClientID(ctx, id); !errors.Is(err, ErrNotFound) {
			return errors.Join(err, ErrExists)
		}
		p = Principal{ObjectID: ObjectID(uuid.NewString()), ClientID: app.ClientID, Kind: Application, DisplayName: app.DisplayName, Created: now}
		return d.PutPrincipal(ctx, p)
	})
	return p, err
}

// AddSecret gives an application a new random secret with the name and times of c. The
// secret is returned this once.
func (d *Directory) AddSecret(ctx context.Context, id ClientID, c Credential) (Credential, secret.String, error) {
	text := newSecret()
	c.KeyID, c.ClientID, c.Kind, c.Hash, c.Hint = uuid.NewString(), id, Secret, hashSecret(text), hint(text)
	err := d.InTx(ctx, func(ctx context.Context) error {
		all, err := d.Credentials(ctx, id)
		if err != nil {
			return err
		}
		if err := checkCount(all, Secret, 1); err != nil {
			return err
		}
		return d.PutCredential(ctx, c)
	})
	return c, secret.New(text), err
}

// RemoveSecret removes a secret of an application; ErrNotFound if it has none such.
func (d *Directory) RemoveSecret(ctx context.Context, id ClientID, keyID string) error {
	return d.InTx(ctx, func(ctx context.Context) error {
		all, err := d.Credentials(ctx, id)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(c Credential) bool { return c.Kind == Secret && strings.EqualFold(c.KeyID, keyID) }) {
			return ErrNotFound
		}
		return d.DeleteCredential(ctx, id, keyID)
	})
}

func checkCount(all []Credential, kind CredentialKind, more int) error {
	for _, c := range all {
		if c.Kind == kind {
			more++
		}
	}
	if more > MaxCredentials {
		return problem.New(problem.Invalid, "Request_BadRequest", "An application has at most %d credentials of a kind: remove some first.", MaxCredentials)
	}
	return nil
}

// SetCertificates replaces the certificates of an application. Those that are named by
// a KeyID it has are kept as they are: clients send them back without their bytes.
func (d *Directory) SetCertificates(ctx context.Context, id ClientID, certificates []Credential) error {
	if err := checkCount(nil, Certificate, len(certificates)); err != nil {
		return err
	}
	return d.InTx(ctx, func(ctx context.Context) error {
		old, err := d.Credentials(ctx, id)
		if err != nil {
			return err
		}
		for _, c := range old {
			keep := slices.ContainsFunc(certificates, func(n Credential) bool { return strings.EqualFold(n.KeyID, c.KeyID) })
			if c.Kind == Certificate && !keep {
				if err := d.DeleteCredential(ctx, id, c.KeyID); err != nil {
					return err
				}
			}
		}
		return d.addCertificates(ctx, id, old, certificates)
	})
}

func (d *Directory) addCertificates(ctx context.Context, id ClientID, old, certificates []Credential) error {
	for _, c := range certificates {
		if slices.ContainsFunc(old, func(o Credential) bool { return o.Kind == Certificate && strings.EqualFold(o.KeyID, c.KeyID) }) {
			continue
		}
		if err := checkCertificate(&c); err != nil {
			return err
		}
		c.KeyID, c.ClientID, c.Kind = uuid.NewString(), id, Certificate
		if err := d.PutCredential(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// checkCertificate reads the certificate and bounds the credential by its times.
func checkCertificate(c *Credential) error {
	cert, err := x509.ParseCertificate(c.Certificate)
	if err != nil {
		return problem.New(problem.Invalid, "Request_BadRequest", "The 'key' of a key credential must be an X.509 certificate, in base64 of its DER form.").Because(err)
	}
	if cert.PublicKeyAlgorithm != x509.RSA {
		return problem.New(problem.Invalid, "Request_BadRequest", "The certificate has a key for %s; only RSA keys are supported.", cert.PublicKeyAlgorithm)
	}
	if c.Start.Before(cert.NotBefore) {
		c.Start = cert.NotBefore
	}
	if c.End.IsZero() || c.End.After(cert.NotAfter) {
		c.End = cert.NotAfter
	}
	return nil
}

// DeleteApplication removes an application, its credentials, its service principal and
// what that was allowed, together.
func (d *Directory) DeleteApplication(ctx context.Context, id ObjectID) error {
	return d.InTx(ctx, func(ctx context.Context) error {
		app, err := d.Registration(ctx, id)
		if err != nil {
			return err
		}
		p, err := d.PrincipalByClientID(ctx, app.ClientID)
		if err == nil {
			err = d.DeletePrincipal(ctx, p.ObjectID)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return d.DeleteRegistration(ctx, id)
	})
}

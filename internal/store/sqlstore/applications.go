package sqlstore

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
)

const selectRegistration = `SELECT object_id, app_id, display_name, owner, created FROM applications `

func scanRegistration(r row) (a identity.Registration, err error) {
	var created int64
	err = r.Scan(&a.ObjectID, &a.ClientID, &a.DisplayName, &a.Owner, &created)
	a.Created = fromMicros(created)
	return a, instead(err, identity.ErrNotFound)
}

// Registration implements identity.Registrations.
func (s Principals) Registration(ctx context.Context, id identity.ObjectID) (identity.Registration, error) {
	return scanRegistration(s.queryRow(ctx, selectRegistration+`WHERE object_id = $1`, lower(id)))
}

// RegistrationByClientID implements identity.Registrations.
func (s Principals) RegistrationByClientID(ctx context.Context, id identity.ClientID) (identity.Registration, error) {
	return scanRegistration(s.queryRow(ctx, selectRegistration+`WHERE app_id = $1`, lower(id)))
}

// Registrations implements identity.Registrations.
func (s Principals) Registrations(ctx context.Context, q identity.Query) ([]identity.Registration, error) {
	query, args := sorted(`1 = 1`, q)
	if q.Owner != "" {
		query, args = sorted(`owner = $1`, q, lower(q.Owner))
	}
	return collect(ctx, s.DB, scanRegistration, selectRegistration+query, args...)
}

// PutRegistration implements identity.Registrations.
func (s Principals) PutRegistration(ctx context.Context, a identity.Registration) error {
	_, err := s.exec(ctx, `INSERT INTO applications (object_id, app_id, display_name, owner, created, sort_name) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (object_id) DO UPDATE SET display_name = excluded.display_name, sort_name = excluded.sort_name`,
		lower(a.ObjectID), lower(a.ClientID), a.DisplayName, lower(a.Owner), micros(a.Created), strings.ToLower(a.DisplayName))
	return err
}

// DeleteRegistration implements identity.Registrations. Credentials go by cascade.
func (s Principals) DeleteRegistration(ctx context.Context, id identity.ObjectID) error {
	_, err := s.exec(ctx, `DELETE FROM applications WHERE object_id = $1`, lower(id))
	return err
}

func scanCredential(r row) (c identity.Credential, err error) {
	var starts, ends int64
	err = r.Scan(&c.KeyID, &c.ClientID, &c.Kind, &c.DisplayName, &c.Hint, &c.Hash, &c.Certificate, &starts, &ends)
	c.Start, c.End = fromMicros(starts), fromMicros(ends)
	return c, err
}

// Credentials implements identity.Registrations.
func (s Principals) Credentials(ctx context.Context, id identity.ClientID) ([]identity.Credential, error) {
	return collect(ctx, s.DB, scanCredential, `SELECT key_id, app_id, kind, display_name, hint, hash, certificate, starts, ends
		FROM credentials WHERE app_id = $1 ORDER BY starts, key_id`, lower(id))
}

// PutCredential implements identity.Registrations.
func (s Principals) PutCredential(ctx context.Context, c identity.Credential) error {
	_, err := s.exec(ctx, `INSERT INTO credentials (key_id, app_id, kind, display_name, hint, hash, certificate, starts, ends)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		strings.ToLower(c.KeyID), lower(c.ClientID), c.Kind, c.DisplayName, c.Hint, c.Hash, c.Certificate, micros(c.Start), micros(c.End))
	return err
}

// DeleteCredential implements identity.Registrations.
func (s Principals) DeleteCredential(ctx context.Context, id identity.ClientID, keyID string) error {
	return atLeastOne(s.exec(ctx, `DELETE FROM credentials WHERE app_id = $1 AND key_id = $2`, lower(id), strings.ToLower(keyID)))
}

func atLeastOne(n int64, err error) error {
	return none(n, err, identity.ErrNotFound)
}

func scanTrust(r row) (t identity.Trust, err error) {
	var audiences string
	if err = r.Scan(&t.ID, &t.Name, &t.Issuer, &t.Subject, &audiences, &t.Description); err != nil {
		return t, err
	}
	return t, json.Unmarshal([]byte(audiences), &t.Audiences)
}

// Trusts implements identity.Registrations.
func (s Principals) Trusts(ctx context.Context, id identity.ClientID) ([]identity.Trust, error) {
	return collect(ctx, s.DB, scanTrust, `SELECT id, name, issuer, subject, audiences, description
		FROM federated_credentials WHERE app_id = $1 ORDER BY name`, lower(id))
}

// PutTrust implements identity.Registrations.
func (s Principals) PutTrust(ctx context.Context, id identity.ClientID, t identity.Trust) error {
	audiences, err := json.Marshal(t.Audiences)
	if err != nil {
		return err
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		var others int
		err := s.queryRow(ctx, `SELECT count(*) FROM federated_credentials WHERE app_id = $1 AND id <> $2 AND (name = $3 OR (issuer = $4 AND subject = $5))`,
			lower(id), strings.ToLower(t.ID), t.Name, t.Issuer, t.Subject).Scan(&others)
		if err != nil {
			return err
		}
		if others > 0 {
			return identity.ErrExists
		}
		_, err = s.exec(ctx, `INSERT INTO federated_credentials (id, app_id, name, issuer, subject, audiences, description) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (id) DO UPDATE SET issuer = excluded.issuer, subject = excluded.subject, audiences = excluded.audiences, description = excluded.description`,
			strings.ToLower(t.ID), lower(id), t.Name, t.Issuer, t.Subject, string(audiences), t.Description)
		return err
	})
}

// DeleteTrust implements identity.Registrations.
func (s Principals) DeleteTrust(ctx context.Context, id identity.ClientID, trustID string) error {
	return atLeastOne(s.exec(ctx, `DELETE FROM federated_credentials WHERE app_id = $1 AND id = $2`, lower(id), strings.ToLower(trustID)))
}

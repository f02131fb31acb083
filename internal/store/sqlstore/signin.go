package sqlstore

import (
	"context"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
)

// SignIn implements signin.Store.
type SignIn struct{ *DB }

var _ signin.Store = SignIn{}

// Refresh implements signin.Store.
func (s SignIn) Refresh(ctx context.Context, hash string) (r signin.Refresh, err error) {
	var expires int64
	err = s.queryRow(ctx, `SELECT hash, object_id, client_id, expires FROM refresh_tokens WHERE hash = $1`, hash).
		Scan(&r.Hash, &r.Principal, &r.Client, &expires)
	r.Expires = fromMicros(expires)
	return r, instead(err, signin.ErrUnknown)
}

// PutRefresh implements signin.Store. A principal that went away meanwhile has none.
func (s SignIn) PutRefresh(ctx context.Context, r signin.Refresh, keep int) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, `INSERT INTO refresh_tokens (hash, object_id, client_id, expires)
			SELECT $1, object_id, $3, $4 FROM principals WHERE object_id = $2 AND disabled = 0
			ON CONFLICT (hash) DO UPDATE SET expires = excluded.expires`, r.Hash, lower(r.Principal), lower(r.Client), micros(r.Expires))
		if err := none(n, err, signin.ErrUnknown); err != nil {
			return err
		}
		_, err = s.exec(ctx, `DELETE FROM refresh_tokens WHERE object_id = $1 AND hash NOT IN
			(SELECT hash FROM refresh_tokens WHERE object_id = $1 ORDER BY expires DESC LIMIT $2)`, lower(r.Principal), keep)
		return err
	})
}

const selectDevice = `SELECT hash, user_code, client_id, scope, object_id, expires FROM device_codes `

func scanDevice(r row) (d signin.Device, err error) {
	var expires int64
	err = r.Scan(&d.Hash, &d.UserCode, &d.Client, &d.Scope, &d.Principal, &expires)
	d.Expires = fromMicros(expires)
	return d, instead(err, signin.ErrUnknown)
}

// Device implements signin.Store.
func (s SignIn) Device(ctx context.Context, hash string) (signin.Device, error) {
	return scanDevice(s.queryRow(ctx, selectDevice+`WHERE hash = $1`, hash))
}

// Waiting implements signin.Store.
func (s SignIn) Waiting(ctx context.Context, userCode string, now time.Time) (signin.Device, error) {
	return scanDevice(s.queryRow(ctx, selectDevice+`WHERE user_code = $1 AND object_id = '' AND expires > $2`, userCode, micros(now)))
}

// PutDevice implements signin.Store.
func (s SignIn) PutDevice(ctx context.Context, d signin.Device, limit int, now time.Time) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM device_codes WHERE expires <= $1`, micros(now)); err != nil {
			return err
		}
		var waiting int
		if err := s.queryRow(ctx, `SELECT count(*) FROM device_codes`).Scan(&waiting); err != nil {
			return err
		}
		if waiting >= limit {
			return signin.ErrTooMany
		}
		_, err := s.exec(ctx, `INSERT INTO device_codes (hash, user_code, client_id, scope, expires) VALUES ($1, $2, $3, $4, $5)`,
			d.Hash, d.UserCode, lower(d.Client), d.Scope, micros(d.Expires))
		return err
	})
}

// AdmitDevice implements signin.Store.
func (s SignIn) AdmitDevice(ctx context.Context, userCode string, who identity.ObjectID, now time.Time) (d signin.Device, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, `UPDATE device_codes SET object_id = $2 WHERE user_code = $1 AND object_id = '' AND expires > $3`, userCode, lower(who), micros(now))
		if err := none(n, err, signin.ErrUnknown); err != nil {
			return err
		}
		d, err = scanDevice(s.queryRow(ctx, selectDevice+`WHERE user_code = $1`, userCode))
		return err
	})
	return d, err
}

// TakeDevice implements signin.Store.
func (s SignIn) TakeDevice(ctx context.Context, hash string) error {
	n, err := s.exec(ctx, `DELETE FROM device_codes WHERE hash = $1`, hash)
	return none(n, err, signin.ErrUnknown)
}

// PutInvitation implements signin.Store. A principal that went away meanwhile has none.
func (s SignIn) PutInvitation(ctx context.Context, i signin.Invitation) error {
	n, err := s.exec(ctx, `INSERT INTO invitations (object_id, hash, expires)
		SELECT object_id, $2, $3 FROM principals WHERE object_id = $1
		ON CONFLICT (object_id) DO UPDATE SET hash = excluded.hash, expires = excluded.expires`,
		lower(i.Principal), i.Hash, micros(i.Expires))
	return none(n, err, signin.ErrUnknown)
}

// Invitation implements signin.Store.
func (s SignIn) Invitation(ctx context.Context, hash string) (i signin.Invitation, err error) {
	var expires int64
	err = s.queryRow(ctx, `SELECT hash, object_id, expires FROM invitations WHERE hash = $1`, hash).
		Scan(&i.Hash, &i.Principal, &expires)
	i.Expires = fromMicros(expires)
	return i, instead(err, signin.ErrUnknown)
}

// TakeInvitation implements signin.Store.
func (s SignIn) TakeInvitation(ctx context.Context, hash string) error {
	n, err := s.exec(ctx, `DELETE FROM invitations WHERE hash = $1`, hash)
	return none(n, err, signin.ErrUnknown)
}

// UseAssertion implements signin.Store.
func (s SignIn) UseAssertion(ctx context.Context, hash string, expires, now time.Time) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM used_assertions WHERE expires <= $1`, micros(now)); err != nil {
			return err
		}
		n, err := s.exec(ctx, `INSERT INTO used_assertions (hash, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING`, hash, micros(expires))
		return none(n, err, signin.ErrUsed)
	})
}

package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
)

// Principals implements identity.Store.
type Principals struct{ *DB }

var _ identity.Store = Principals{}

// lower is how IDs of principals are kept and compared.
func lower[T ~string](id T) string { return strings.ToLower(string(id)) }

const selectPrincipal = `SELECT object_id, coalesce(app_id, ''), coalesce(user_name, ''), kind, display_name, resource, disabled, created FROM principals `

func scanPrincipal(r row) (p identity.Principal, err error) {
	var created int64
	err = r.Scan(&p.ObjectID, &p.ClientID, &p.UserName, &p.Kind, &p.DisplayName, &p.Resource, &p.Disabled, &created)
	p.Created = fromMicros(created)
	return p, instead(err, identity.ErrNotFound)
}

// Principal implements identity.Store.
func (s Principals) Principal(ctx context.Context, id identity.ObjectID) (identity.Principal, error) {
	return scanPrincipal(s.queryRow(ctx, selectPrincipal+`WHERE object_id = $1`, lower(id)))
}

// PrincipalByClientID implements identity.Store.
func (s Principals) PrincipalByClientID(ctx context.Context, id identity.ClientID) (identity.Principal, error) {
	return scanPrincipal(s.queryRow(ctx, selectPrincipal+`WHERE app_id = $1`, lower(id)))
}

// PrincipalByUserName implements identity.Store.
func (s Principals) PrincipalByUserName(ctx context.Context, name string) (identity.Principal, error) {
	return scanPrincipal(s.queryRow(ctx, selectPrincipal+`WHERE user_name = $1`, strings.ToLower(name)))
}

// PrincipalsOf implements identity.Store.
func (s Principals) PrincipalsOf(ctx context.Context, resourceKey string) ([]identity.Principal, error) {
	return collect(ctx, s.DB, scanPrincipal, selectPrincipal+`WHERE resource_key = $1`, resourceKey)
}

// Principals implements identity.Store.
func (s Principals) Principals(ctx context.Context, users bool, q identity.Query) ([]identity.Principal, error) {
	where := `kind <> 'User'`
	if users {
		where = `kind = 'User'`
	}
	query, args := sorted(where, q)
	return collect(ctx, s.DB, scanPrincipal, selectPrincipal+query, args...)
}

// sorted is the condition, order and limit of a list of the directory, beside a condition
// that stands in an index. Each is one range of it.
func sorted(where string, q identity.Query, args ...any) (string, []any) {
	and := func(condition string, values ...any) {
		for _, value := range values {
			args = append(args, value)
			condition = strings.Replace(condition, "?", fmt.Sprint("$", len(args)), 1)
		}
		where += ` AND ` + condition
	}
	name, prefix := strings.ToLower(q.Name), strings.ToLower(q.Prefix)
	switch {
	case q.Name != "" && q.After.Name == name:
		and(`sort_name = ? AND object_id > ?`, name, lower(q.After.ID))
	case q.Name != "" && q.After.Name < name:
		and(`sort_name = ?`, name)
	case q.Name != "":
		and(`sort_name = ? AND sort_name > ?`, name, q.After.Name) // it is over
	case q.After != (identity.Place{}) && q.After.Name >= prefix:
		and(`(sort_name, object_id) > (?, ?)`, q.After.Name, lower(q.After.ID))
	case prefix != "":
		and(`sort_name >= ?`, prefix)
	}
	if prefix != "" { // a range ends where the last character is followed by the last one there is
		and(`sort_name <= ?`, prefix+"\U0010FFFF")
	}
	args = append(args, limit(q.N))
	return `WHERE ` + where + ` ORDER BY sort_name, object_id LIMIT $` + fmt.Sprint(len(args)), args
}

// PutPrincipal implements identity.Store.
func (s Principals) PutPrincipal(ctx context.Context, p identity.Principal) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		var others int
		err := s.queryRow(ctx, `SELECT count(*) FROM principals WHERE object_id <> $1 AND (app_id = $2 OR user_name = $3)`,
			lower(p.ObjectID), optional(lower(p.ClientID)), optional(strings.ToLower(p.UserName))).Scan(&others)
		if err != nil {
			return err
		}
		if others > 0 {
			return identity.ErrExists
		}
		_, err = s.exec(ctx, `INSERT INTO principals (object_id, app_id, user_name, kind, display_name, resource, resource_key, disabled, created, sort_name)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (object_id) DO UPDATE SET display_name = excluded.display_name, sort_name = excluded.sort_name, disabled = excluded.disabled`,
			lower(p.ObjectID), optional(lower(p.ClientID)), optional(strings.ToLower(p.UserName)), p.Kind, p.DisplayName,
			p.Resource, strings.ToLower(p.Resource), bit(p.Disabled), micros(p.Created), strings.ToLower(p.DisplayName))
		if err != nil || !p.Disabled {
			return err
		}
		return s.signOut(ctx, p.ObjectID)
	})
}

// optional is NULL for an empty text.
func optional(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (s Principals) signOut(ctx context.Context, id identity.ObjectID) error {
	_, err := s.exec(ctx, `DELETE FROM refresh_tokens WHERE object_id = $1`, lower(id))
	return err
}

// PasswordHash implements identity.Store.
func (s Principals) PasswordHash(ctx context.Context, id identity.ObjectID) (hash string, err error) {
	err = s.queryRow(ctx, `SELECT password_hash FROM principals WHERE object_id = $1`, lower(id)).Scan(&hash)
	return hash, instead(err, identity.ErrNotFound)
}

// SetPasswordHash implements identity.Store.
func (s Principals) SetPasswordHash(ctx context.Context, id identity.ObjectID, hash string) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := atLeastOne(s.exec(ctx, `UPDATE principals SET password_hash = $2 WHERE object_id = $1`, lower(id), hash)); err != nil {
			return err
		}
		if _, err := s.exec(ctx, `DELETE FROM invitations WHERE object_id = $1`, lower(id)); err != nil {
			return err
		}
		return s.signOut(ctx, id)
	})
}

// DeletePrincipal implements identity.Store.
func (s Principals) DeletePrincipal(ctx context.Context, id identity.ObjectID) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM role_assignments WHERE principal_id = $1`, lower(id)); err != nil {
			return err
		}
		_, err := s.exec(ctx, `DELETE FROM principals WHERE object_id = $1`, lower(id))
		return err
	})
}

// Assignments implements rbac.Store.
type Assignments struct{ *DB }

var _ rbac.Store = Assignments{}

const selectAssignment = `SELECT name, scope_id, principal_id, principal_type, role_id, description, created, created_by FROM role_assignments `

func scanAssignment(r row) (a rbac.Assignment, err error) {
	var scope string
	var created int64
	if err := r.Scan(&a.Name, &scope, &a.PrincipalID, &a.PrincipalType, &a.RoleID, &a.Description, &created, &a.CreatedBy); err != nil {
		return a, err
	}
	a.Created = fromMicros(created)
	a.Scope, err = arm.ParseID(scope)
	return a, err
}

// Assignment implements rbac.Store.
func (s Assignments) Assignment(ctx context.Context, scope arm.ID, name string) (rbac.Assignment, error) {
	a, err := scanAssignment(s.queryRow(ctx, selectAssignment+`WHERE scope = $1 AND name = $2`, scope.Key(), strings.ToLower(name)))
	if errors.Is(err, sql.ErrNoRows) {
		err = rbac.ErrNotFound
	}
	return a, err
}

// Assignments implements rbac.Store.
func (s Assignments) Assignments(ctx context.Context, q rbac.Query) ([]rbac.Assignment, error) {
	if len(q.Below) == 0 && q.N == 0 && q.After == (rbac.Place{}) {
		return s.assignmentsAt(ctx, q)
	}
	var all []rbac.Assignment
	for _, in := range scopesOf(q) {
		for _, part := range in.parts(q.After) {
			query, args := part.query(q, q.N-len(all))
			some, err := collect(ctx, s.DB, scanAssignment, query, args...)
			if err != nil {
				return nil, err
			}
			if all = append(all, some...); q.N > 0 && len(all) >= q.N {
				return all, nil
			}
		}
	}
	return all, nil
}

// assignmentsAt are all at some scopes. What every check asks is one statement.
func (s Assignments) assignmentsAt(ctx context.Context, q rbac.Query) ([]rbac.Assignment, error) {
	var args []any
	for _, id := range q.At {
		args = append(args, id.Key())
	}
	where := `WHERE scope IN ` + oneOf(1, args)
	if !q.Anybody {
		args = append(args, lower(q.Principal))
		where += fmt.Sprint(` AND principal_id = $`, len(args))
	}
	return collect(ctx, s.DB, scanAssignment, selectAssignment+where+` ORDER BY scope, name`, args...)
}

// scopesOf are where the scopes of a query are, in the order of their keys.
func scopesOf(q rbac.Query) []interval {
	var all []interval
	for _, id := range q.At {
		all = append(all, at(id.Key()))
	}
	for _, id := range q.Below {
		all = append(all, under(id))
	}
	slices.SortFunc(all, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	return all
}

// stretch are the assignments at the scopes of an interval, or, if that has one scope
// alone, those of them whose name comes after another. Both are ranges of an index.
type stretch struct {
	interval
	name string
}

// parts are what of the interval comes after a place.
func (i interval) parts(after rbac.Place) []stretch {
	var all []stretch
	if i.from <= after.Scope && after.Scope < i.to {
		all = append(all, stretch{at(after.Scope), after.Name})
	}
	if rest, ok := i.rest(after.Scope); ok {
		all = append(all, stretch{rest, ""})
	}
	return all
}

func (i stretch) query(q rbac.Query, n int) (string, []any) {
	args, where := []any{i.from, i.name, limit(n)}, `scope = $1 AND name > $2`
	if i.interval != at(i.from) {
		args[1], where = i.to, `scope >= $1 AND scope < $2`
	}
	if !q.Anybody {
		args, where = append(args, lower(q.Principal)), where+` AND principal_id = $4`
	}
	return selectAssignment + `WHERE ` + where + ` ORDER BY scope, name LIMIT $3`, args
}

// PutAssignment implements rbac.Store.
func (s Assignments) PutAssignment(ctx context.Context, a rbac.Assignment) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		var other int
		err := s.queryRow(ctx, `SELECT count(*) FROM role_assignments WHERE scope = $1 AND principal_id = $2 AND role_id = $3 AND name <> $4`,
			a.Scope.Key(), lower(a.PrincipalID), a.RoleID, strings.ToLower(a.Name)).Scan(&other)
		if err != nil {
			return fmt.Errorf("looking for the assignment under another name: %w", err)
		}
		if other > 0 {
			return rbac.ErrDuplicate
		}
		_, err = s.exec(ctx, `INSERT INTO role_assignments (scope, name, scope_id, principal_id, principal_type, role_id, description, created, created_by)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (scope, name) DO UPDATE SET principal_id = excluded.principal_id, principal_type = excluded.principal_type,
				role_id = excluded.role_id, description = excluded.description`,
			a.Scope.Key(), strings.ToLower(a.Name), a.Scope.String(), lower(a.PrincipalID), a.PrincipalType, a.RoleID, a.Description, micros(a.Created), a.CreatedBy)
		return err
	})
}

// DeleteAssignment implements rbac.Store.
func (s Assignments) DeleteAssignment(ctx context.Context, scope arm.ID, name string) error {
	n, err := s.exec(ctx, `DELETE FROM role_assignments WHERE scope = $1 AND name = $2`, scope.Key(), strings.ToLower(name))
	if err == nil && n == 0 {
		err = rbac.ErrNotFound
	}
	return err
}

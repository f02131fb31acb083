package sqlstore

import (
	"context"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/registry/mirror"
)

// Operations implements mirror.Store.
type Operations struct{ *DB }

var _ mirror.Store = Operations{}

const selectOperation = `SELECT id, resource_id, request, status, progress, code, message, created, updated FROM operations `

func scanOperation(r row) (op mirror.Operation, err error) {
	var resource string
	var created, updated int64
	if err := r.Scan(&op.ID, &resource, &op.Request, &op.Status, &op.Progress, &op.Code, &op.Message, &created, &updated); err != nil {
		return op, instead(err, mirror.ErrNoOperation)
	}
	op.Created, op.Updated = fromMicros(created), fromMicros(updated)
	op.Registry, err = arm.ParseID(resource)
	return op, err
}

// Operation implements mirror.Store.
func (s Operations) Operation(ctx context.Context, id string) (mirror.Operation, error) {
	return scanOperation(s.queryRow(ctx, selectOperation+`WHERE id = $1`, strings.ToLower(id)))
}

// OpenOperations implements mirror.Store.
func (s Operations) OpenOperations(ctx context.Context) ([]mirror.Operation, error) {
	return collect(ctx, s.DB, scanOperation, selectOperation+`WHERE status = 'InProgress' ORDER BY created`)
}

// PutOperation implements mirror.Store.
func (s Operations) PutOperation(ctx context.Context, op mirror.Operation) error {
	_, err := s.exec(ctx, `INSERT INTO operations (id, resource, resource_id, request, status, progress, code, message, created, updated)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		op.ID, op.Registry.Key(), op.Registry.String(), op.Request, op.Status, op.Progress, op.Code, op.Message, micros(op.Created), micros(op.Updated))
	return err
}

// SetOperation implements mirror.Store.
func (s Operations) SetOperation(ctx context.Context, op mirror.Operation) error {
	n, err := s.exec(ctx, `UPDATE operations SET request = $2, status = $3, progress = $4, code = $5, message = $6, updated = $7 WHERE id = $1`,
		op.ID, op.Request, op.Status, op.Progress, op.Code, op.Message, micros(op.Updated))
	return none(n, err, mirror.ErrNoOperation)
}

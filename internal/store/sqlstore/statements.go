package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
)

// statements are prepared statements of SQLite's, by their text: compiling one takes as
// long as running it. A statement is prepared by its second use. It is safe for
// concurrent use.
type statements struct {
	db *sql.DB

	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
	wanted   map[string]bool // used once, in a transaction, whose connection is the only one
}

// maxStatements bounds how many are kept: the texts are constants, in so many variants.
const maxStatements = 512

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, prepared: map[string]*sql.Stmt{}, wanted: map[string]bool{}}
}

// lookup returns a prepared statement, or nil.
func (s *statements) lookup(query string) *sql.Stmt {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.prepared[query]
}

// get returns a prepared statement, which is prepared if there is none; nil if there are
// too many.
func (s *statements) get(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := s.lookup(query); stmt != nil {
		return stmt, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if stmt := s.prepared[query]; stmt != nil || len(s.prepared) >= maxStatements {
		return stmt, nil
	}
	stmt, err := s.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("preparing %.40q: %w", query, err)
	}
	s.prepared[query] = stmt
	return stmt, nil
}

// want asks for a statement to be prepared when the transaction is over.
func (s *statements) want(query string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.prepared)+len(s.wanted) < maxStatements {
		s.wanted[query] = true
	}
}

// prepareWanted prepares what was asked for. What cannot be prepared now, for want of
// memory say, is asked for again.
func (s *statements) prepareWanted(ctx context.Context) {
	s.mu.Lock()
	wanted := s.wanted
	if len(wanted) > 0 {
		s.wanted = map[string]bool{}
	}
	s.mu.Unlock()
	for query := range wanted {
		_, _ = s.get(ctx, query)
	}
}

// pooled runs statements on the pool. Queries for one row are not cut off when ctx ends:
// watching it would take longer than they do.
type pooled struct{ *statements }

func (p pooled) exec(ctx context.Context, query string, args ...any) (int64, error) {
	return affected(p.db.ExecContext(ctx, query, args...))
}

func (p pooled) query(ctx context.Context, query string, args ...any) (rows, error) {
	stmt, err := p.get(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case stmt == nil:
		return p.db.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

func (p pooled) queryRow(ctx context.Context, query string, args ...any) row {
	ctx = context.WithoutCancel(ctx)
	stmt, err := p.get(ctx, query)
	switch {
	case err != nil:
		return failedRow{err}
	case stmt == nil:
		return p.db.QueryRowContext(ctx, query, args...)
	}
	return stmt.QueryRowContext(ctx, args...)
}

// failedRow is the row of a query that could not be made.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// within runs statements in a transaction.
type within struct {
	*statements
	tx *sql.Tx
}

// in returns a statement for the transaction, or nil.
func (w within) in(ctx context.Context, query string) *sql.Stmt {
	stmt := w.lookup(query)
	if stmt == nil {
		w.want(query)
		return nil
	}
	return w.tx.StmtContext(ctx, stmt)
}

func (w within) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if stmt := w.in(ctx, query); stmt != nil {
		return affected(stmt.ExecContext(ctx, args...))
	}
	return affected(w.tx.ExecContext(ctx, query, args...))
}

func (w within) query(ctx context.Context, query string, args ...any) (rows, error) {
	if stmt := w.in(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return w.tx.QueryContext(ctx, query, args...)
}

func (w within) queryRow(ctx context.Context, query string, args ...any) row {
	if stmt := w.in(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return w.tx.QueryRowContext(ctx, query, args...)
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

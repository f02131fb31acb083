package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// passing are the errors that PostgreSQL answers with when it does not work for now, or not
// as a whole: its codes, or the classes that their first two letters are. A disk that is full
// is not among them, see postgresFull.
var passing = []string{
	"08",             // a connection failed
	"53",             // it is out of memory, connections, or something else
	"57P",            // it stops, starts, or has crashed
	"57014",          // a statement took longer than somebody allows
	"55P03", "25P03", // the turn to write was not to be had, or is lost
	"25P04",          // and so for all of a transaction
	"25006",          // it only reads: it became another one's copy
	"40001", "40P01", // two transactions were in each other's way
	"58", // its disk fails
}

// away implements backend.
func (p *postgres) away(err error) string {
	var refused *pgconn.PgError
	var unreachable *pgconn.ConnectError
	var broken net.Error
	switch {
	case errors.As(err, &unreachable): // whatever the reason, as a password that was changed
		return p.look
	case errors.As(err, &refused):
		return p.lookFor(refused.Code)
	case errors.As(err, &broken), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, context.DeadlineExceeded), pgconn.SafeToRetry(err):
		// It was reached once, and is no more.
		return p.look
	}
	return ""
}

// stale implements backend. All connections of the pool are older than what ended this one,
// most likely a start of the database, so none of them is kept.
func (p *postgres) stale(err error) bool {
	var refused *pgconn.PgError
	var unreachable *pgconn.ConnectError
	switch {
	case err == nil, errors.As(err, &unreachable), pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &refused) && !strings.HasPrefix(refused.Code, "57P"), refused == nil && p.away(err) == "":
		return false
	}
	p.pool.Reset()
	return true
}

func (p *postgres) lookFor(code string) string {
	begins := func(text string) bool { return strings.HasPrefix(code, text) }
	switch {
	case code == "53100" || !slices.ContainsFunc(passing, begins):
		return ""
	case code == "55P03" || code == "25P03":
		return lookBusy
	}
	return p.look
}

// whereToLook is for the log, and has no password.
func whereToLook(to *pgconn.Config) string {
	return fmt.Sprintf("does PostgreSQL work and has it connections to spare? "+
		"pg_isready --host %s --port %d; its log has more", to.Host, to.Port)
}

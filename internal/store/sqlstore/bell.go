package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// bell tells River of new jobs where one process has the database to itself. River's own
// way on SQLite is to read a table twenty times a second, which keeps an idle processor
// busy for little. It is rung before the commit: to look, River needs the connection that
// the transaction still has.
type bell chan string

// ring tells of a job in a queue. Rings that come too fast are lost; River looks now and
// then anyway.
func (b bell) ring(queue string) {
	select {
	case b <- queue:
	default:
	}
}

// driver is River's for SQLite, but for how it learns of jobs.
type driver struct {
	*riversqlite.Driver
	bell bell
}

// GetListener implements riverdriver.Driver.
func (d driver) GetListener(*riverdriver.GetListenenerParams) riverdriver.Listener {
	return listener{d.bell}
}

// listener implements riverdriver.Listener. Whatever topics River listens to, there is one.
type listener struct{ bell bell }

func (listener) Close(context.Context) error            { return nil }
func (listener) Connect(context.Context) error          { return nil }
func (listener) Listen(context.Context, string) error   { return nil }
func (listener) Unlisten(context.Context, string) error { return nil }
func (listener) Ping(context.Context) error             { return nil }
func (listener) Schema() string                         { return "" }
func (listener) SetAfterConnectExec(string)             {}

// WaitForNotification waits for the bell.
func (l listener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case queue := <-l.bell:
		payload, err := json.Marshal(map[string]string{"queue": queue})
		return &riverdriver.Notification{Topic: "river_insert", Payload: string(payload)}, err
	}
}

// sqliteRiver is a client of River's that rings for what it enqueues.
type sqliteRiver struct {
	*river.Client[*sql.Tx]
	bell bell
}

func (c sqliteRiver) insert(ctx context.Context, tx transaction, args river.JobArgs, opts *river.InsertOpts) error {
	_, err := c.InsertTx(ctx, tx.(sqliteTx).tx, args, opts)
	c.bell.ring(opts.Queue)
	return err
}

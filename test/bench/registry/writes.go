package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
)

// writing are the loads of measureWrites.
var writing = []load{
	{"put of a tag, 8 connections, synced", "fill -n 4000 -c 8", rate, ""},
	{"small images, 8 connections, synced", "images -n 1000 -c 8", rate, ""},
}

// measureWrites measures what is written, by two programs in turn if there is one before.
func (b *bench) measureWrites(before, program string) (err error) {
	if b.dir, err = os.MkdirTemp("", "acrux-bench-"); err != nil {
		return err
	}
	if err := b.buildLoad(); err != nil {
		return err
	}
	var servers []server
	names := ""
	for _, one := range []string{before, program} {
		if one == "" {
			continue
		}
		names += "\t" + filepath.Base(one)
		if one, err = filepath.Abs(one); err != nil {
			return err
		}
		s, err := b.startAcrux(one)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what"+names+"\tpromised\tother CPU")
	for _, l := range writing {
		if err := b.row(table, l, servers...); err != nil {
			return err
		}
	}
	return nil
}

// newDatabase makes a database and returns its URL.
func (b *bench) newDatabase() (_ string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, b.database)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	name := fmt.Sprint("bench", time.Now().UnixNano())
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	u, err := url.Parse(b.database)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

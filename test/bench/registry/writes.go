package main

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"
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

// newDatabase makes a database, with PostgreSQL's own program, and returns its URL.
func (b *bench) newDatabase() (string, error) {
	u, err := url.Parse(b.database)
	if err != nil {
		return "", err
	}
	name := fmt.Sprint("bench", time.Now().UnixNano())
	if out, err := exec.Command("createdb", "--maintenance-db", b.database, name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("createdb: %w: %s", err, out)
	}
	u.Path = "/" + name
	return u.String(), nil
}

// Command registry measures a registry beside a peer, in one run on one machine, and
// prints both with what is promised. Servers have one core and the load generator another;
// Acrux checks a bearer token and rights with every request, the peer lets everyone in.
// Nothing else should run meanwhile: the last column says what did.
//
//	go run ./test/bench/registry -program bin/acrux
//
// With -writes it measures what is put by eight connections at a time, in two programs in
// turn if -before names another, and with -database on PostgreSQL.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	program := flag.String("program", "bin/acrux", "the program to measure")
	rounds := flag.Int("rounds", 2, "how often each load is tried; the best counts")
	purge := flag.Bool("purge", false, "measure a purge of 100,000 tags, and nothing else")
	writes := flag.Bool("writes", false, "measure puts of tags and small images, and nothing else")
	before := flag.String("before", "", "another program, to be measured beside it (with -writes)")
	b := &bench{}
	flag.StringVar(&b.database, "database", "",
		"URL of a PostgreSQL, in which databases are made (with -writes)")
	flag.Parse()
	b.rounds, b.purge = *rounds, *purge
	var err error
	if *writes {
		err = b.measureWrites(*before, *program)
	} else {
		err = b.run(*program)
	}
	if err := errors.Join(err, b.close()); err != nil {
		log.Fatal(err)
	}
}

// peer is the registry to compare with, from its module.
const peer = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"

type bench struct {
	rounds  int
	purge   bool // is all that is measured
	dir     string
	regload string
	servers []server

	database string // of servers of ours; empty is SQLite
}

// server is a registry under measurement.
type server interface {
	// target are the flags by which regload finds it.
	target() []string
	pid() int
	stop() error
}

func (b *bench) close() error {
	var errs []error
	for _, s := range b.servers {
		errs = append(errs, s.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// measure adds rows to the table.
type measure func(*tabwriter.Writer, *acrux) error

// load is a row of the table: what regload does, and which number of it counts.
type load struct {
	what     string
	args     string
	value    func(result) string
	promised string
}

var loads = []load{
	{"manifest GET by tag, 16 connections", "manifest -c 16 -d 4s", rate, "25,000/s (45,000 cached), p99 3 ms"},
	{"blob GET 1 KiB, 16 connections", "blob -size 1KiB -c 16 -d 4s", rate, "20,000/s"},
	{"blob GET 100 MiB, 4 connections", "blob -size 100MiB -c 4 -d 4s", throughput, "3,500 MB/s, 25 ms CPU (plain)"},
	{"blob push 100 MiB, synced", "push -size 100MiB -n 8 -c 1 -mode put", throughput, "600 MB/s"},
	{"small images, 8 connections, synced", "images -n 1000 -c 8", rate, "300/s"},
}

// result is a line of regload's.
type result struct {
	OpsPerSec float64 `json:"ops_per_s"`
	MBPerSec  float64 `json:"mb_per_s"`
	P99us     float64 `json:"p99_us"`
	Errors    uint64  `json:"errors"`
	ServerCPU float64 `json:"server_cpu_us_per_op"`
	OtherCPU  float64 `json:"other_cpu_pct"`
}

func rate(r result) string {
	return fmt.Sprintf("%.0f/s, p99 %.1f ms, %.0f µs CPU", r.OpsPerSec, r.P99us/1000, r.ServerCPU)
}

func throughput(r result) string {
	return fmt.Sprintf("%.0f MB/s, %.0f ms CPU", r.MBPerSec, r.ServerCPU/1000)
}

func (b *bench) run(program string) (err error) {
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "acrux-bench-"); err != nil {
		return err
	}
	if err := b.buildLoad(); err != nil {
		return err
	}
	own, err := b.startAcrux(program)
	if err != nil {
		return err
	}
	if b.purge {
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		return errors.Join(b.purges(table, own), table.Flush())
	}
	idle := memory(own.pid())
	other, err := b.startPeer()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what\tdistribution 3.1.2\tAcrux, plain\tAcrux, TLS\tpromised\tother CPU")
	for _, l := range loads {
		if err := b.row(table, l, other, own, own.overTLS()); err != nil {
			return err
		}
	}
	for _, measure := range []measure{b.tokens, b.imports, b.transfers, b.tags, b.purges} {
		if err := errors.Join(measure(table, own), table.Flush()); err != nil {
			return err
		}
	}
	fmt.Fprintf(table, "memory of Acrux when idle\t\t%s\t\t\t\n", idle)
	return table.Flush()
}

func (b *bench) buildLoad() error {
	b.regload = filepath.Join(b.dir, "regload")
	if out, err := exec.Command("go", "build", "-o", b.regload, "./test/load/regload").CombinedOutput(); err != nil {
		return fmt.Errorf("building the load generator: %w: %s", err, out)
	}
	return nil
}

func (b *bench) row(table *tabwriter.Writer, l load, servers ...server) error {
	cells, busy := "", 0.0
	for _, s := range servers {
		best, err := b.best(s, l.args)
		if err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
		cells += "\t" + l.value(best)
		busy = max(busy, best.OtherCPU)
	}
	fmt.Fprintf(table, "%s%s\t%s\t%.0f %%\n", l.what, cells, l.promised, busy)
	return table.Flush()
}

// best is the best of some rounds of a load.
func (b *bench) best(s server, args string) (best result, err error) {
	for range b.rounds {
		r, err := b.load(s, strings.Fields(args+fmt.Sprintf(" -repo bench/load -prefix p%d", time.Now().UnixNano()))...)
		if err != nil {
			return best, err
		}
		if r.OpsPerSec > best.OpsPerSec {
			best = r
		}
	}
	return best, nil
}

// load runs regload on its core and returns the last line of its results.
func (b *bench) load(s server, args ...string) (r result, err error) {
	file := filepath.Join(b.dir, "results.jsonl")
	if err := os.RemoveAll(file); err != nil {
		return r, err
	}
	line := append([]string{"-c", "1", b.regload}, args...)
	line = append(append(line, s.target()...), "-pid", fmt.Sprint(s.pid()), "-json", file)
	if out, err := exec.Command("taskset", line...).CombinedOutput(); err != nil {
		return r, fmt.Errorf("regload %s: %w: %s", strings.Join(args, " "), err, out)
	}
	f, err := os.Open(file)
	if err != nil {
		return r, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return r, err
		}
	}
	if r.Errors > 0 {
		err = fmt.Errorf("regload %s met %d errors", strings.Join(args, " "), r.Errors)
	}
	return r, err
}

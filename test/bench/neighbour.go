package main

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/acrux/acrux/test/fixture"
)

// hostile is what a run takes that takes what it can get: processors, processes, memory,
// connections to the services of its run, disk, and the server's attention for its log.
var hostile = []struct{ what, step string }{
	{"spins", `cmd: "$Registry/base:1 sh -c 'for i in $(seq 16); do while :; do :; done & done; wait'"`},
	{"forks", `cmd: "--pids-limit 1000 $Registry/base:1 sh -c 'while :; do sleep 600 & done 2>/dev/null'"`},
	{"fills memory", `cmd: "$Registry/base:1 sh -c 'while :; do tail -c 100g /dev/zero; done 2>/dev/null'"`},
	{"connects", `cmd: "$Registry/base:1 sh -c 'for i in $(seq 1500); do (sleep 600 | nc 169.254.169.254 80) & done 2>/dev/null; wait'"`},
	{"writes", `cmd: "$Registry/base:1 sh -c 'while :; do dd if=/dev/zero of=/f bs=1M count=1000; done 2>/dev/null'"`},
	{"talks", `cmd: "$Registry/base:1 sh -c 'while :; do yes | head -c 1m; sleep 1; done'"`},
}

// modest is what another tenant's run does meanwhile: half a second of one processor.
const modest = "$Registry/base:1 sh -c 'i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done'"

// settling is how long a hostile run has to get what it can.
const settling = 20 * time.Second

// neighbour measures how another tenant's run fares beside a hostile one, by what that does
// and with all of it, and what the server has then.
func (b *bench) neighbour() error {
	if err := b.tenants(); err != nil {
		return err
	}
	alone, err := b.modestRuns()
	if err != nil {
		return err
	}
	row("a modest run alone, p50 of 15", ms(alone), "")
	var all []string
	for _, h := range hostile {
		all = append(all, h.step)
		if err := b.beside(h.what, alone, "", h.step); err != nil {
			return err
		}
	}
	return b.beside("does all of that", alone, "1.20", all...)
}

// beside measures modest runs beside a run of those steps.
func (b *bench) beside(what string, alone time.Duration, promised string, steps ...string) error {
	text := "version: v1.1.0\nsteps:\n"
	for _, step := range steps {
		text += "- detach: true\n  " + step + "\n"
	}
	text += "- cmd: $Registry/base:1 sleep 600\n"
	file := filepath.Join(b.dir, "hostile.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	if _, err := b.az("acr", "run", "--registry", "hostile", "--no-wait", "--file", file, "/dev/null"); err != nil {
		return err
	}
	time.Sleep(settling)
	beside, err := b.modestRuns()
	if err != nil {
		return err
	}
	row("… beside one that "+what, fmt.Sprintf("%s %.2f ×", ms(beside), float64(beside)/float64(alone)), promised)
	if len(steps) > 1 {
		if err := b.holdings(); err != nil {
			return err
		}
	}
	return b.endHostile()
}

// endHostile cancels the hostile run and waits until it has ended.
func (b *bench) endHostile() error {
	id, err := b.output("acr", "task", "list-runs", "--registry", "hostile", "--query", "[0].runId", "--output", "tsv")
	if err != nil {
		return err
	}
	if _, err := b.az("acr", "task", "cancel-run", "--registry", "hostile", "--run-id", id); err != nil {
		return err
	}
	time.Sleep(settling / 4) // what it had is given back
	return nil
}

// tenants makes a server with two registries.
func (b *bench) tenants() (err error) {
	upstream := httptest.NewServer(fixture.Upstream())
	image, err := fixture.BusyboxImage()
	if err == nil {
		err = fixture.Push(strings.TrimPrefix(upstream.URL, "http://"), "library/node:15-alpine", image)
	}
	if err != nil {
		return err
	}
	config := fmt.Sprintf("registryMirrors: {docker.io: %q}\nagent: {stepNetwork: none, runLimits: {cpus: 1, memory: 2g, processes: 8000}}\n", upstream.URL)
	if b.server, err = fixture.StartServer(b.program, filepath.Join(b.dir, "data"), config, os.Environ()); err != nil {
		return err
	}
	_, err = b.az("group", "create", "--name", "g", "--location", "eastus")
	for _, registry := range []string{"modest", "hostile"} {
		_, made := b.az("acr", "create", "--resource-group", "g", "--name", registry, "--sku", "Standard")
		_, imported := b.az("acr", "import", "--name", registry, "--source", "docker.io/library/node:15-alpine", "--image", "base:1")
		err = errors.Join(err, made, imported)
	}
	return err
}

func (b *bench) modestRuns() (time.Duration, error) {
	var all []time.Duration
	for range 15 {
		d, err := b.az("acr", "run", "--registry", "modest", "--cmd", modest, "/dev/null")
		if err != nil {
			return 0, err
		}
		all = append(all, d)
	}
	return median(all), nil
}

// holdings are descriptors, memory and disk of the server now.
func (b *bench) holdings() error {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.server.PID()))
	if err != nil {
		return err
	}
	row("the server's descriptors", strconv.Itoa(len(files)), "")
	if err := b.resident("the server's memory", ""); err != nil {
		return err
	}
	var bytes int64
	err = filepath.WalkDir(b.server.Data, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, gone := entry.Info(); gone == nil {
				bytes += info.Size()
			}
		}
		return nil // what is gone meanwhile counts nothing
	})
	row("the data directory", fmt.Sprintf("%.0f MB", float64(bytes)/1e6), "")
	return err
}

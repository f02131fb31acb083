// Command bench measures what users feel of a server, and prints it beside what is
// promised: start, memory, a client command, the first log line, the tutorial's run.
// It starts a server of its own on loopback; nothing else should run meanwhile.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/test/fixture"
)

func main() {
	program := flag.String("program", "bin/acrux", "the program to measure")
	beside := flag.Bool("neighbour", false, "measure a run beside a hostile one, and nothing else")
	flag.Parse()
	b := &bench{program: *program}
	measures := []func() error{b.binary, b.start, b.prepare, b.requests, b.command, b.azure, b.firstLine, b.tutorial, b.memory}
	if *beside {
		measures = []func() error{b.neighbour}
	}
	err := b.run(measures)
	if err := errors.Join(err, b.close()); err != nil {
		log.Fatal(err)
	}
}

// bench is a server under measurement.
type bench struct {
	program string
	dir     string
	server  *fixture.Server
	client  *client.Client
	git     string
}

func (b *bench) run(measures []func() error) (err error) {
	if b.program, err = filepath.Abs(b.program); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "acrux-bench-"); err != nil {
		return err
	}
	fmt.Printf("%d CPUs, %s, load %s\n\n%-46s %12s %12s\n", runtime.NumCPU(), kernel(), load(), "what", "measured", "promised")
	for _, measure := range measures {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) close() error {
	var err error
	if b.server != nil {
		err = b.server.Stop()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease") // shown only
	return "Linux " + strings.TrimSpace(string(text))
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg") // shown only
	return string(bytes.SplitN(text, []byte(" "), 2)[0])
}

func row(what, measured, promised string) {
	fmt.Printf("%-46s %12s %12s\n", what, measured, promised)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000) }

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func (b *bench) binary() error {
	info, err := os.Stat(b.program)
	if err == nil {
		row("binary", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), "70 MB")
	}
	return err
}

// start measures the first start on an empty directory, to the first answer.
func (b *bench) start() error {
	upstream := httptest.NewServer(fixture.Upstream())
	image, err := fixture.BusyboxImage()
	if err != nil {
		return err
	}
	if err := fixture.Push(strings.TrimPrefix(upstream.URL, "http://"), "library/node:15-alpine", image); err != nil {
		return err
	}
	repositories := filepath.Join(b.dir, "repositories")
	if _, err := fixture.GitRepository("examples/hello-world", filepath.Join(repositories, "hello-world.git")); err != nil {
		return err
	}
	handler, err := fixture.Git(repositories)
	if err != nil {
		return err
	}
	b.git = httptest.NewServer(handler).URL + "/hello-world.git"
	config := fixture.Aliases("g", "mybaseregistry") +
		fmt.Sprintf("registryMirrors: {docker.io: %q}\nagent: {stepNetwork: none}\n", upstream.URL)
	began := time.Now()
	if b.server, err = fixture.StartServer(b.program, filepath.Join(b.dir, "data"), config, os.Environ()); err != nil {
		return err
	}
	if err := b.connect(); err != nil {
		return err
	}
	row("start on an empty directory, to first answer", ms(time.Since(began)), "500 ms")
	return nil
}

// connect signs in and asks for the first time.
func (b *bench) connect() (err error) {
	p := b.server.Published
	b.client, err = client.New(client.Profile{Management: p.URL("management"), Authority: p.URL("login") + "/adfs", GraphURL: p.URL("graph"), Address: p.Address,
		CABundle: p.CABundle, Tenant: p.TenantID, Subscription: p.SubscriptionID, ClientID: b.server.Admin.ClientID, Secret: secret.New(b.server.Admin.Secret)}, "")
	if err != nil {
		return err
	}
	_, err = b.client.Do(context.Background(), "GET", "/subscriptions", "2022-12-01", nil, nil)
	return err
}

// az runs a client command, discards its output and returns how long it took.
func (b *bench) az(args ...string) (time.Duration, error) {
	began := time.Now()
	_, err := b.output(args...)
	return time.Since(began), err
}

// output runs a client command and returns what it prints.
func (b *bench) output(args ...string) (string, error) {
	cmd := exec.Command(b.program, args...)
	cmd.Env = append(os.Environ(), append(b.server.Exports(), "ACRUX_CONFIG_DIR="+filepath.Join(b.dir, "client"))...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

const taskFile = `steps:
- build: -t $Registry/hello-world:$ID GIT#main -f Dockerfile-app --build-arg REGISTRY_NAME=mybaseregistry.azurecr.io
- push: ["$Registry/hello-world:$ID"]
`

// prepare goes through the tutorial up to its run.
func (b *bench) prepare() error {
	file := filepath.Join(b.dir, "task.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(taskFile, "GIT", b.git, 1)), 0o600); err != nil {
		return err
	}
	group := "/subscriptions/" + b.server.Published.SubscriptionID + "/resourceGroups/g"
	for _, line := range []string{
		"group create --name g --location eastus",
		"acr create --resource-group g --name myregistry --sku Standard",
		"acr create --resource-group g --name mybaseregistry --sku Standard",
		"acr import --name mybaseregistry --source docker.io/library/node:15-alpine --image baseimages/node:15-alpine",
		"acr task create --registry myregistry --name hello --context /dev/null --file " + file + " --assign-identity",
		"acr task credential add --registry myregistry --name hello --login-server mybaseregistry.azurecr.io --use-identity [system]",
		"role assignment create --assignee hello --role AcrPull --scope " + group + "/providers/Microsoft.ContainerRegistry/registries/mybaseregistry",
	} {
		if _, err := b.az(strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) command() error {
	var all []time.Duration
	for range 20 {
		d, err := b.az("acr", "task", "show", "--registry", "myregistry", "--name", "hello")
		if err != nil {
			return err
		}
		all = append(all, d)
	}
	row("acrux acr task show, p50 of 20", ms(median(all)), "60 ms")
	return nil
}

// firstLine measures from the answer to scheduleRun to the first byte of the log.
func (b *bench) firstLine() error {
	var all []time.Duration
	for range 20 {
		d, err := b.firstByte()
		if err != nil {
			return err
		}
		all = append(all, d)
	}
	row("queue to first log line, p50 of 20", ms(median(all)), "100 ms")
	return nil
}

func (b *bench) firstByte() (time.Duration, error) {
	ctx := context.Background()
	registry := "/subscriptions/" + b.server.Published.SubscriptionID + "/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/myregistry"
	began := time.Now()
	var run struct{ ID string }
	body := map[string]any{"type": "EncodedTaskRunRequest", "encodedTaskContent": "c3RlcHM6IFtdCg=="} // steps: []
	if _, err := b.client.Do(ctx, "POST", registry+"/scheduleRun", "2019-06-01-preview", body, &run); err != nil {
		return 0, err
	}
	var link struct{ LogLink string }
	if _, err := b.client.Do(ctx, "POST", run.ID+"/listLogSasUrl", "2019-06-01-preview", nil, &link); err != nil {
		return 0, err
	}
	first := &firstWrite{}
	_, err := b.client.FollowLog(ctx, link.LogLink, first)
	return first.at.Sub(began), err
}

// firstWrite remembers when something was first written to it.
type firstWrite struct{ at time.Time }

func (f *firstWrite) Write(p []byte) (int, error) {
	if f.at.IsZero() {
		f.at = time.Now()
	}
	return len(p), nil
}

func (b *bench) tutorial() error {
	for _, round := range []struct{ what, promised string }{{"task run, base not cached", "1500 ms"}, {"task run again", "800 ms"}, {"task run again", "800 ms"}} {
		d, err := b.az("acr", "task", "run", "--registry", "myregistry", "--name", "hello")
		if err != nil {
			return err
		}
		row(round.what+", client to client", ms(d), round.promised)
	}
	return nil
}

var rss = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// memory is the server's when it has come to rest.
func (b *bench) memory() error {
	time.Sleep(10 * time.Second)
	return b.resident("memory at rest after these runs", "80 MB")
}

func (b *bench) resident(what, promised string) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.server.PID()))
	if err != nil {
		return err
	}
	var kb float64
	if _, err := fmt.Sscan(string(rss.FindSubmatch(status)[1]), &kb); err != nil && err != io.EOF {
		return err
	}
	row(what, fmt.Sprintf("%.0f MB", kb/1000), promised)
	return nil
}

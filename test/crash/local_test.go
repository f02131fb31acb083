package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/test/fixture"
)

// workbench is a folder of its user's, with what 'acrux run' needs.
type workbench struct {
	t                  *testing.T
	folder, root, temp string
	command            func(args ...string) *exec.Cmd // of acrux
	also               func() []string                // what else is left
	flags              []string                       // of every run
	registry           string                         // on loopback, for base images
	bases              int                            // that were made
}

func newWorkbench(t *testing.T) *workbench {
	t.Helper()
	upstream := httptest.NewServer(fixture.Upstream())
	t.Cleanup(upstream.Close)
	b := &workbench{t: t, folder: t.TempDir(), root: t.TempDir(), temp: t.TempDir(), registry: strings.TrimPrefix(upstream.URL, "http://")}
	b.also = func() []string { return nil }
	b.command = func(args ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+b.temp)
		return cmd
	}
	b.fill()
	return b
}

// fill puts into the folder what takes a while to pack and to copy.
func (b *workbench) fill() {
	b.t.Helper()
	for i := range 40 {
		must(b.t, os.WriteFile(filepath.Join(b.folder, fmt.Sprint("data", i)), make([]byte, 1<<20), 0o644))
	}
}

// begin starts a run: a build on a base image that nobody has yet, a service, and a step.
func (b *workbench) begin(step, marker string) (cmd *exec.Cmd, out *bytes.Buffer) {
	b.t.Helper()
	b.bases++
	base := fmt.Sprintf("library/base:%d", b.bases)
	layer, err := random.Layer(4<<20, types.DockerLayer)
	must(b.t, err)
	image, err := fixture.BusyboxImage()
	must(b.t, err)
	image, err = mutate.AppendLayers(image, layer)
	must(b.t, err)
	must(b.t, fixture.Push(b.registry, base, image))
	dockerfile := "FROM " + b.registry + "/" + base + "\nCOPY data* /data/\nRUN sleep 0.2\n"
	must(b.t, os.WriteFile(filepath.Join(b.folder, "Dockerfile"), []byte(dockerfile), 0o644))
	text := "version: v1.1.0\nsteps:\n- build: -t local:1 .\n- id: service\n  cmd: local:1 sleep " + marker + "\n  detach: true\n  ports: [\"80\"]\n" +
		"- cmd: local:1 " + step + "\n"
	must(b.t, os.WriteFile(filepath.Join(b.folder, "acb.yaml"), []byte(text), 0o644))
	out = new(bytes.Buffer)
	cmd = b.command(append([]string{"run", b.folder, "--root", b.root}, b.flags...)...)
	cmd.Stdout, cmd.Stderr = out, out
	must(b.t, cmd.Start())
	return cmd, out
}

// succeeds runs something that must.
func (b *workbench) succeeds(why string) {
	b.t.Helper()
	cmd, out := b.begin("true", sleeping(99))
	if err := cmd.Wait(); err != nil {
		b.t.Fatalf("%s: the next run: %v\n%s", why, err, out)
	}
}

// nothingLeft fails if something of a run stays. The kernel takes devices away when it has time.
func (b *workbench) nothingLeft(why string) {
	b.t.Helper()
	var left []string
	if !until(func() bool { left = b.left(); return len(left) == 0 }) {
		b.t.Errorf("%s leaves %q", why, left)
	}
}

func (b *workbench) left() []string {
	b.t.Helper()
	devices, tables := uplinks(b.t)
	left := slices.Concat(mountsBelow(b.t, b.root), mountsBelow(b.t, b.temp), devices, tables, b.processes(), ofEngine(b.t, b.root), b.also())
	entries, err := os.ReadDir(b.temp)
	must(b.t, err)
	for _, entry := range entries {
		left = append(left, filepath.Join(b.temp, entry.Name()))
	}
	return left
}

// sleeping is how long a step or a service sleeps, which finds its process: no other test, nor
// one of another process, has that.
func sleeping(n int) string { return fmt.Sprintf("%d%02d", os.Getpid(), n) }

// processes are those of acrux, and the steps of the tests.
func (b *workbench) processes() (all []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is good
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() || pid == os.Getppid() {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil {
			continue // it has just ended
		}
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
		if strings.Contains(string(environ), "TMPDIR="+b.temp+"\x00") || strings.HasPrefix(string(line), "sleep\x00"+fmt.Sprint(os.Getpid())) {
			all = append(all, fmt.Sprintf("process %d: %q", pid, line))
		}
	}
	return all
}

// ofEngine are files and control groups that runs have in an engine's directory.
func ofEngine(t *testing.T, root string) (all []string) {
	t.Helper()
	engine := filepath.Join(root, "engine")
	cgroup := container.CgroupName(filepath.Join(engine, "containers"))
	for _, pattern := range []string{
		filepath.Join(root, "agent", "runs", "*"), filepath.Join(engine, "runs", "*"), filepath.Join(engine, "net", "run-*"),
		filepath.Join(engine, "net", "build", "*"), filepath.Join(engine, "containers", "*"), filepath.Join(engine, "images", "content", "ingest", "*"),
		"/sys/fs/cgroup/" + cgroup, "/sys/fs/cgroup/*/" + cgroup,
	} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		all = append(all, files...)
	}
	return all
}

// reaches waits until the steps sleep.
func (b *workbench) reaches(marker string, out *bytes.Buffer) {
	b.t.Helper()
	if !until(func() bool { return running(marker) }) {
		b.t.Fatalf("the step does not begin:\n%s", out)
	}
}

// status is what a shell would say of a command that has ended.
func status(cmd *exec.Cmd) int {
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
		return 128 + int(s.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// A run on this machine that is interrupted gives everything back and says by its status what
// ended it. One that is interrupted twice, whose step does not heed it, ends at once.
func TestLocalRunEnds(t *testing.T) {
	enginetest.WholeServers(t)
	hearHangups(t)
	b := newWorkbench(t)
	t.Cleanup(func() { clearNetwork(t) })
	b.succeeds("nothing before")
	b.nothingLeft("a run that succeeds")
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		marker := sleeping(int(s))
		cmd, out := b.begin("sleep "+marker, sleeping(50))
		b.reaches(marker, out)
		must(t, cmd.Process.Signal(s))
		_ = cmd.Wait() // the status says it
		if code := cmd.ProcessState.ExitCode(); code != 128+int(s) || !strings.Contains(out.String(), "Canceling") {
			t.Errorf("%s ends it with %d\n%s", s, code, out)
		}
		b.nothingLeft(s.String())
	}
	cmd, out := b.begin("sh -c 'trap true TERM INT; while true; do sleep "+sleeping(98)+"; done'", sleeping(50))
	b.reaches(sleeping(98), out)
	must(b.t, cmd.Process.Signal(syscall.SIGINT))
	time.Sleep(50 * time.Millisecond)
	must(b.t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait() // the status says it
	if code := cmd.ProcessState.ExitCode(); code != 143 && code != 130 {
		b.t.Errorf("interrupted twice it ends with %d\n%s", code, out)
	}
	b.succeeds("ended at once")
	b.nothingLeft("the run after one that ended at once")
}

// Whatever ends a run, at any time, the next one works and nothing is left.
func TestLocalRunKilledAtAnyTime(t *testing.T) {
	enginetest.WholeServers(t)
	b := newWorkbench(t)
	t.Cleanup(func() { clearNetwork(t) })
	b.killed(2 * kills())
}

// Runs with directories of their own do not clean up each other: one goes on, and reaches what it
// reached, while another one is killed and begun again. Of one directory there is one run.
func TestLocalRunsSideBySide(t *testing.T) {
	enginetest.WholeServers(t)
	go greet(enginetest.Outside(t))
	t.Cleanup(func() { clearNetwork(t) })
	one, other := newWorkbench(t), newWorkbench(t)
	ask := "nc -w 2 198.51.100.2 8080 < /dev/null"
	cmd, out := one.begin("sh -c '"+ask+"; sleep "+sleeping(61)+"; "+ask+"; true'", sleeping(62))
	one.reaches(sleeping(61), out)
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		killed, out := other.begin("sleep "+sleeping(63), sleeping(64))
		other.reaches(sleeping(63), out)
		must(t, killed.Process.Signal(s))
		_ = killed.Wait() // says that it was
		other.succeeds(s.String())
	}
	second, said := one.begin("true", sleeping(65))
	if err := second.Wait(); err == nil || !strings.Contains(said.String(), "Another run uses "+one.root) {
		t.Errorf("two runs use one directory: %v\n%s", err, said)
	}
	if !running(sleeping(62)) {
		t.Error("the service of the first run has gone")
	}
	for _, pid := range sleepers(sleeping(61)) {
		must(t, syscall.Kill(pid, syscall.SIGTERM))
	}
	if err := cmd.Wait(); err != nil || strings.Count(out.String(), "hello 198.51.100.1\n") != 2 {
		t.Errorf("the first run: %v\n%s", err, out)
	}
}

// Whatever ends an ordinary user's run, whose acrux is a process in namespaces and one outside.
func TestUsersRunKilledAtAnyTime(t *testing.T) {
	enginetest.WholeServers(t)
	template := enginetest.UserCommand(t) // has a copy of the program
	b := newWorkbench(t)
	for _, dir := range []*string{&b.folder, &b.root, &b.temp} {
		public, err := os.MkdirTemp(filepath.Join(template.Dir, "tmp"), "")
		must(t, err)
		must(t, os.Chmod(public, 0o777))
		*dir = public
	}
	b.fill()
	b.command = func(args ...string) *exec.Cmd {
		cmd := exec.Command(template.Args[0], append(template.Args[1:], args...)...)
		cmd.Dir, cmd.Env = template.Dir, append(template.Env, asProgram+"=1", "TMPDIR="+b.temp)
		return cmd
	}
	b.killed(kills())
}

// The same on a Docker Engine, which goes on when acrux has gone.
func TestDockerRunKilledAtAnyTime(t *testing.T) {
	enginetest.WholeServers(t)
	host := enginetest.StartDockerEngine(t)
	b := newWorkbench(t)
	b.flags = []string{"--docker-host", host}
	b.also = func() []string { return inDockerEngine(t, host) }
	b.killed(kills())
}

// inDockerEngine lists what runs have in a Docker Engine.
func inDockerEngine(t *testing.T, host string) (all []string) {
	t.Helper()
	socket := strings.TrimPrefix(host, "unix://")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for _, list := range []string{"containers/json?all=1", "networks?filters={\"label\":[\"acrux.run\"]}", "volumes?filters={\"label\":[\"acrux.run\"]}", "images/json"} {
		response, err := client.Get("http://docker/" + list)
		must(t, err)
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		must(t, err)
		if s := strings.TrimSpace(string(text)); s != "[]" && !strings.HasPrefix(s, `{"Volumes":[]`) && !strings.HasPrefix(s, `{"Volumes":null`) {
			all = append(all, list+": "+s)
		}
	}
	return all
}

// killed ends runs at random moments, by turns with each signal.
func (b *workbench) killed(times int) {
	b.t.Helper()
	began := time.Now()
	b.succeeds("nothing before")
	took := time.Since(began)
	moments := rand.New(rand.NewPCG(13, 2)) // the same in each test
	for n := range times {
		s := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL}[n%3]
		after := time.Duration(moments.Int64N(int64(took)))
		cmd, out := b.begin("sleep "+sleeping(1), sleeping(2))
		time.Sleep(after)
		if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			b.t.Fatal(err)
		}
		_ = cmd.Wait() // the status says it
		why := fmt.Sprintf("%s after %s", s, after.Round(time.Millisecond))
		if got := status(cmd); got != 128+int(s) {
			b.t.Errorf("%s: it ends with %d\n%s", why, got, out)
		}
		if s != syscall.SIGKILL {
			b.nothingLeft(why)
		}
		again := time.Now()
		b.succeeds(why)
		b.t.Logf("%s; the next run took %s", why, time.Since(again).Round(10*time.Millisecond))
		b.nothingLeft(why + ", and the next run")
	}
}

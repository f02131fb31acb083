//go:build linux && cgo

package step_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/engine"
)

// run is a run of a place.
type run struct {
	engine.Scope
	spec engine.RunSpec
	p    *place
}

// open opens a run. change may say more of it.
func (p *place) open(t *testing.T, change func(*engine.RunSpec)) *run {
	t.Helper()
	p.runs++
	spec := engine.RunSpec{ID: fmt.Sprintf("run%d", p.runs), Workspace: t.TempDir(), Home: t.TempDir(), SharedVolume: "shared"}
	if change != nil {
		change(&spec)
	}
	scope, err := p.executor.Open(t.Context(), spec)
	must(t, err)
	t.Cleanup(func() {
		if err := scope.Close(); err != nil {
			t.Errorf("closing a run: %v", err)
		}
	})
	r := &run{scope, spec, p}
	r.copyProbe(t)
	return r
}

// copyProbe puts the probe into the workspace.
func (r *run) copyProbe(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(r.p.probe)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(r.spec.Workspace, "probe"), text, 0o755))
}

// command runs a container and returns what it printed; that it ran is an outcome.
func (r *run) command(t *testing.T, c engine.Command) (engine.CommandResult, string) {
	t.Helper()
	if c.Image == "" {
		c.Image = r.p.Base
	}
	var out bytes.Buffer
	result, err := r.Command(t.Context(), c, &out)
	if err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, out.String())
	}
	return result, out.String()
}

// build builds a Dockerfile in the workspace.
func (r *run) build(t *testing.T, dockerfile string, b engine.Build) (engine.BuildResult, string) {
	t.Helper()
	b.ContextDir, b.Dockerfile = r.spec.Workspace, filepath.Join(r.spec.Workspace, "Dockerfile")
	must(t, os.WriteFile(b.Dockerfile, []byte(dockerfile), 0o644))
	var out bytes.Buffer
	result, err := r.Build(t.Context(), b, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return result, out.String()
}

// Docker's default capabilities, and those without raw sockets.
const (
	usualCapabilities = "00000000a80425fb"
	withoutRawSockets = "00000000a80405fb"
)

// machine is what the probe looks for: a process, a file, a socket and a segment of memory of
// this machine. The variables tell it where.
func (p *place) machine(t *testing.T, capabilities string) []string {
	t.Helper()
	held, err := os.Open(p.canary)
	must(t, err)
	t.Cleanup(func() { held.Close() })
	name := fmt.Sprintf("acrux-attack-%d", os.Getpid())
	if p.kind == asUser { // whose processes have numbers of their own
		name += "-user"
	}
	socket, err := net.Listen("unix", "@"+name)
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	key := 0x4711<<16 | len(p.kind)<<8 | os.Getpid()&0xff
	segment, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|0o666)
	must(t, err)
	t.Cleanup(func() { _, _ = unix.SysvShmCtl(segment, unix.IPC_RMID, nil) })
	env := []string{"CANARY=" + p.canary, "WORD=" + word, "SOCKET=" + name, "FIRST=1", "CAPS=" + capabilities,
		fmt.Sprintf("PID=%d", outsider(t)), fmt.Sprintf("SHM=%d", key)}
	for _, kind := range []string{"ipc", "net", "pid", "uts", "mnt"} {
		own, err := os.Readlink("/proc/self/ns/" + kind)
		must(t, err)
		env = append(env, "NS_"+kind+"="+own)
	}
	return env
}

var probed = regexp.MustCompile(`(?m)^(?:[^a-z/]*)?([a-zA-Z_/][^\n]*?) (held|through): (.*)$`)

// fewest is how many attempts there are at least: a probe that breaks off has not tried.
const fewest = 75

// held makes a subtest of each attempt that a probe made, but for those that are documented
// to get through.
func held(t *testing.T, out string, documented []string) {
	t.Helper()
	found := probed.FindAllStringSubmatch(out, -1)
	if len(found) < fewest {
		t.Errorf("%d attempts were made, want %d:\n%s", len(found), fewest, out)
	}
	for _, attempt := range found {
		if slices.Contains(documented, attempt[1]) {
			continue
		}
		t.Run(strings.ReplaceAll(attempt[1], "/", "|"), func(t *testing.T) {
			if attempt[2] == "through" {
				t.Error(attempt[0])
			}
		})
	}
}

// documented are the attempts that an executor does not hold: a Docker Engine gives no user
// IDs of its own unless it is told to, and its filter of system calls is that of its release.
func (p *place) documented() []string {
	if p.kind == onEngine {
		return []string{"root of the machine's users", "io_uring_setup"}
	}
	return nil
}

// lacking are what a kernel may have been built without. A control that does not find them
// says nothing of the probe.
var lacking = regexp.MustCompile(`^(write /proc/(sysrq-trigger|sys/kernel/(modprobe|sysrq))|read /(proc/kcore|dev/mem)|(init|finit|delete)_module|kexec_load|iopl|ioperm|device of .*)$`)

// notBuilt are the words for that.
var notBuilt = regexp.MustCompile(`no such file or directory|function not implemented`)

// controlOfWalls makes the same attempts on the machine, where each must get through.
func controlOfWalls(t *testing.T, p *place, env []string) {
	t.Helper()
	const here = `FIRST=$PID NS_mnt=$(readlink /proc/self/ns/mnt) exec "$0" walls`
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", here, p.probe)
	cmd.Env = append(append(os.Environ(), env...), "CAPS=none of these")
	out, err := cmd.CombinedOutput()
	must(t, err)
	for _, attempt := range probed.FindAllStringSubmatch(string(out), -1) {
		missing := lacking.MatchString(attempt[1]) && notBuilt.MatchString(attempt[3])
		if attempt[2] == "held" && !missing {
			t.Errorf("nothing was in the way of it: %s", attempt[0])
		}
	}
}

// wallsImage has a node of a block device in a layer.
func (p *place) wallsImage(t *testing.T) string {
	t.Helper()
	return p.Public.Push(t, "attack/device:1", layered(t, nodeLayer()))
}

func wallsOfStep(t *testing.T, p *place) {
	env := p.machine(t, usualCapabilities)
	if p.kind == asRoot {
		controlOfWalls(t, p, env)
	}
	r := p.open(t, nil)
	image := p.wallsImage(t)
	_, err := r.Command(t.Context(), engine.Command{Image: image, Args: []string{"true"}}, io.Discard)
	must(t, err)
	_, out := r.command(t, engine.Command{Image: image, Args: []string{"/workspace/probe", "walls"}, Env: env})
	held(t, out, p.documented())
}

func wallsOfRun(t *testing.T, p *place) {
	r := p.open(t, nil)
	lines := "FROM " + p.wallsImage(t) + "\nCOPY probe /\n"
	caps := withoutRawSockets
	if p.kind == onEngine {
		caps = usualCapabilities
	}
	for _, variable := range p.machine(t, caps) {
		name, value, _ := strings.Cut(variable, "=")
		lines += fmt.Sprintf("ENV %s=%q\n", name, value)
	}
	result, out := r.build(t, lines+"RUN /probe walls\n", engine.Build{NoCache: true})
	if !result.OK {
		t.Fatalf("the build failed:\n%s", out)
	}
	held(t, out, p.documented())
}

// outsider is a process of the machine whose number no process of a container has: theirs are
// small, and so is that of a test which is in a namespace of its own.
func outsider(t *testing.T) int {
	t.Helper()
	const small = 500
	for {
		cmd := exec.Command("sleep", "1000")
		must(t, cmd.Start())
		end := func() {
			_ = cmd.Process.Kill() // fails if it has ended
			_ = cmd.Wait()         // says that it was killed
		}
		if cmd.Process.Pid > small {
			t.Cleanup(end)
			return cmd.Process.Pid
		}
		end()
	}
}

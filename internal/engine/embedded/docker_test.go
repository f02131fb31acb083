//go:build linux && cgo

package embedded

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// dockerClient is Debian's client of docker, or the one that the environment names.
func dockerClient() string {
	if client := os.Getenv("ACRUX_TEST_DOCKER"); client != "" {
		return client
	}
	return "/usr/bin/docker"
}

// docker is docker's client, connected to the socket of a run.
type docker struct {
	t    *testing.T
	s    *Scope
	home string
	f    enginetest.Fixtures
}

func openDocker(t *testing.T, e *Executor, id string, f enginetest.Fixtures, credentials engine.Credentials) *docker {
	t.Helper()
	s, err := e.Open(t.Context(), engine.RunSpec{ID: id, Workspace: t.TempDir(), Home: t.TempDir(), Credentials: credentials, SharedVolume: "shared"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the scope: %v", err)
		}
	})
	return &docker{t, s.(*Scope), t.TempDir(), f}
}

func (d *docker) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, dockerClient(), args...)
	cmd.Env = []string{"DOCKER_HOST=unix://" + d.s.socketPath(), "HOME=" + d.home, "PATH=" + os.Getenv("PATH"), "DOCKER_BUILDKIT=0"}
	cmd.Dir = d.s.spec.Workspace
	return cmd
}

// run runs a command that must succeed, and returns what it printed.
func (d *docker) run(args ...string) string {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := d.command(d.t.Context(), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		d.t.Errorf("docker %q: %v\n%s%s", args, err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// fails runs a command that must fail and say why.
func (d *docker) fails(why string, args ...string) {
	d.t.Helper()
	out, err := d.command(d.t.Context(), args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), why) {
		d.t.Errorf("docker %q: %v, want a failure with %q:\n%s", args, err, why, out)
	}
}

func (d *docker) want(want string, args ...string) {
	d.t.Helper()
	if got := d.run(args...); got != want {
		d.t.Errorf("docker %q printed %q, want %q", args, got, want)
	}
}

func (d *docker) matches(pattern string, args ...string) {
	d.t.Helper()
	if got := d.run(args...); !regexp.MustCompile(pattern).MatchString(got) {
		d.t.Errorf("docker %q printed %q, want %s", args, got, pattern)
	}
}

func TestDockerContainers(t *testing.T) {
	f := enginetest.NewFixtures(t)
	d := openDocker(t, openIn(t, t.TempDir()), "containers", f, nil)
	step := engine.Command{Name: "web", Image: f.Base, Detach: true, Args: []string{"sh", "-c", "trap 'echo bye; exit 3' TERM; echo hello; echo problem >&2; while true; do sleep 0.05; done"}}
	if result, err := d.s.Command(t.Context(), step, io.Discard); err != nil || result.ExitCode != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	d.matches(`(?s)^Client:.*Server:`, "version")
	d.matches(`Containers: 1\n.*Running: 1\n`, "info")
	d.matches(`(?m)^[0-9a-f]{12} +127.* +"sh -c.*Up .* web$`, "ps")
	d.want("web\n", "ps", "--filter", "name=web", "--format", "{{.Names}}")
	d.want("", "ps", "--filter", "name=other", "--quiet")
	d.fails("invalid filter 'health'", "ps", "--filter", "health=healthy")
	d.want("running "+f.Base+"\n", "inspect", "--format", "{{.State.Status}} {{.Config.Image}}", "web")
	eventually(t, "hello\n", func() string { return d.run("logs", "web") })
	d.matches(`^\d{4}-\d\d-\d\dT[0-9:.]+Z hello\n$`, "logs", "--timestamps", "web")
	d.want("", "logs", "--tail", "0", "web")
	d.want("inside\n", "exec", "web", "echo", "inside")
	d.want("1000 x /tmp\n", "exec", "--user", "1000", "--env", "A=x", "--workdir", "/tmp", "web", "sh", "-c", "echo $(id -u) $A $(pwd)")
	if code := exitOf(d.command(t.Context(), "exec", "web", "sh", "-c", "exit 9").Run()); code != 9 {
		t.Errorf("exec exits with %d, want 9", code)
	}
	d.fails("executable file not found", "exec", "web", "no-such-program")
	typed := d.command(t.Context(), "exec", "--interactive", "web", "cat")
	typed.Stdin = strings.NewReader("typed\n")
	if out, err := typed.CombinedOutput(); err != nil || string(out) != "typed\n" {
		t.Errorf("exec with input: %v, %q", err, out)
	}
	d.want("web\n", "stop", "web")
	d.fails("No such container: web", "inspect", "--type", "container", "web") // steps are not kept

	d.run("run", "--detach", "--name", "ports", "--publish", "8080:80", "--publish", "53/udp", f.Base, "sleep", "1000")
	d.want("0.0.0.0:8080\n", "port", "ports", "80")
	d.matches(`^0\.0\.0\.0:[1-9]\d+->53/udp, 0\.0\.0\.0:8080->80/tcp\n$`, "ps", "--filter", "name=ports", "--format", "{{.Ports}}")
	d.run("rm", "--force", "ports")

	d.want("first\n", "run", "--rm", f.Base, "echo", "first")
	d.want("put in\n", "run", "--rm", "--env", "W=put in", f.Base, "sh", "-c", "echo $W")
	piped := d.command(t.Context(), "run", "--rm", "--interactive", f.Base, "sh", "-c", "cat; echo end")
	piped.Stdin = strings.NewReader("one\ntwo\n")
	if out, err := piped.CombinedOutput(); err != nil || string(out) != "one\ntwo\nend\n" {
		t.Errorf("run with input: %v, %q", err, out)
	}
	if code := exitOf(d.command(t.Context(), "run", "--rm", f.Base, "sh", "-c", "exit 7").Run()); code != 7 {
		t.Errorf("run exits with %d, want 7", code)
	}
	if code := exitOf(d.command(t.Context(), "run", "--rm", f.Base, "no-such-program").Run()); code != 127 {
		t.Errorf("run of nothing exits with %d, want 127", code)
	}
	large := d.run("run", "--rm", f.Base, "sh", "-c", "seq 300000")
	if lines := strings.Count(large, "\n"); lines != 300000 {
		t.Errorf("%d lines came out of 300000", lines)
	}

	id := strings.TrimSpace(d.run("run", "--detach", "--name", "kept", "--label", "a=b", f.Base, "sh", "-c", "echo one; echo two >&2; exit 4"))
	d.want("4\n", "wait", "kept")
	d.want("exited 4\n", "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", id[:12])
	d.want("one\n", "logs", "kept")
	d.want("kept\n", "ps", "--all", "--filter", "label=a=b", "--format", "{{.Names}}")
	d.fails("already in use", "run", "--name", "kept", f.Base, "true")
	d.fails("is not offered", "start", "kept")
	d.want("kept\n", "rm", "kept")
	d.fails("No such container", "logs", "kept")

	d.run("create", "--name", "made", f.Base, "sleep", "1000")
	d.fails("is not running", "kill", "made")
	d.want("made\n", "start", "made")
	d.fails("container is running", "rm", "made")
	d.want("made\n", "kill", "--signal", "KILL", "made")
	d.want("137\n", "wait", "made")
	d.run("rm", "made")
	d.run("run", "--detach", "--name", "forced", f.Base, "sleep", "1000")
	d.want("forced\n", "rm", "--force", "forced")
	d.want("", "ps", "--all", "--quiet")

	following := d.command(t.Context(), "logs", "--follow", "slow")
	d.run("run", "--detach", "--name", "slow", f.Base, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
	if out, err := following.CombinedOutput(); err != nil || string(out) != "1\n2\n3\n" {
		t.Errorf("following a log: %v, %q", err, out)
	}
}

// eventually waits some seconds for a value.
func eventually(t *testing.T, want string, get func() string) {
	t.Helper()
	got := get()
	for deadline := time.Now().Add(20 * time.Second); got != want && time.Now().Before(deadline); got = get() {
		time.Sleep(20 * time.Millisecond)
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func exitOf(err error) int {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode()
	}
	return 0
}

func TestDockerImages(t *testing.T) {
	f := enginetest.NewFixtures(t)
	d := openDocker(t, openIn(t, t.TempDir()), "images", f, f.Private.Credentials())
	d.want("", "images", "--quiet")
	d.fails("No such image", "inspect", "--type", "image", f.Base)
	d.matches(`(?s)Pulling from baseimages/busybox.*Status: Downloaded newer image`, "pull", f.Base)
	d.matches(`(?m)baseimages/busybox +1 +[0-9a-f]{12}`, "images")
	d.run("tag", f.Base, "own:1")
	d.want("own:1\n", "images", "--format", "{{.Repository}}:{{.Tag}}", "own")
	d.want("ok\n", "run", "--rm", "own:1", "echo", "ok")
	if err := os.WriteFile(filepath.Join(d.s.spec.Workspace, "Dockerfile"), []byte("FROM own:1\nARG A\nRUN echo $A > /made\nCOPY file /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.s.spec.Workspace, "file"), []byte("content\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	to := f.Private.Host + "/built"
	d.matches(`(?s)Step 1/4 : FROM own:1.*Successfully built [0-9a-f]{12}\nSuccessfully tagged `, "build", "--build-arg", "A=given", "--tag", to+":1", ".")
	d.want("given\ncontent\n", "run", "--rm", to+":1", "cat", "/made", "/file")
	d.matches(`(?s)The push refers to repository.*1: digest: sha256:[0-9a-f]{64} size: \d+`, "push", to+":1")
	d.run("tag", to+":1", to+":2")
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(d.run("push", to+":2"))
	d.want(to+"@"+digest+"\n", "inspect", "--format", "{{index .RepoDigests 0}}", to+":1")
	d.want(fmt.Sprintf("[%s:1 %[1]s:2]\n", to), "inspect", "--format", "{{.RepoTags}}", to+":2")
	d.fails("No such object: nosuch", "inspect", "nosuch")
	d.fails("GET /containers/nosuch/top is not offered", "top", "nosuch")
	d.matches(`(?m)built +1 +`+digest+`(.|\n)*built +2 +`+digest, "images", "--digests")
	d.fails("does not exist locally", "push", to+":3")
	d.want("Untagged: "+to+":2\n", "rmi", to+":2")
	d.fails("No such image", "rmi", to+":2")
	d.fails("No such image", "run", "--pull", "never", to+":2", "true")
	id := strings.TrimSpace(d.run("inspect", "--format", "{{.Id}}", "own:1"))
	d.want(id+"\n", "inspect", "--format", "{{.Id}}", id[7:19])
	if err := os.WriteFile(filepath.Join(d.s.spec.Workspace, "Dockerfile"), []byte("FROM own:1\nRUN exit 5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.fails("returned a non-zero code: 5", "build", ".")
	d.fails("not found", "pull", f.Public.Host+"/none:1")

	// The run has the credential; a client may bring another.
	d.fails("unauthorized", "--config", d.auth(f.Private.Host, "wrong"), "push", to+":1")
	d.matches(`digest: sha256:`, "--config", d.auth(f.Private.Host, "refresh"), "push", to+":1")
	login := d.command(t.Context(), "login", "--username", "00000000-0000-0000-0000-000000000000", "--password-stdin", f.Private.Host)
	login.Stdin = strings.NewReader("wrong")
	if out, err := login.CombinedOutput(); err == nil || !strings.Contains(string(out), "unauthorized") {
		t.Errorf("a wrong login: %v\n%s", err, out)
	}
	login = d.command(t.Context(), "login", "--username", "00000000-0000-0000-0000-000000000000", "--password-stdin", f.Private.Host)
	login.Stdin = strings.NewReader("refresh")
	if out, err := login.CombinedOutput(); err != nil || !strings.Contains(string(out), "Login Succeeded") {
		t.Errorf("a login: %v\n%s", err, out)
	}
}

// auth writes a configuration of the client with a refresh token for a registry.
func (d *docker) auth(host, token string) string {
	d.t.Helper()
	dir := d.t.TempDir()
	secret := base64.StdEncoding.EncodeToString([]byte("00000000-0000-0000-0000-000000000000:" + token))
	text, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": secret}}})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		d.t.Fatal(err)
	}
	return dir
}

func TestDockerNetworksAndVolumes(t *testing.T) {
	f := enginetest.NewFixtures(t)
	d := openDocker(t, openIn(t, t.TempDir()), "networks", f, nil)
	if err := d.s.CreateNetwork(t.Context(), engine.Network{Name: "tasks"}); err != nil {
		t.Fatal(err)
	}
	if err := d.s.CreateVolume(t.Context(), "secret", map[string][]byte{"key": []byte("x")}); err != nil {
		t.Fatal(err)
	}
	d.run("pull", f.Base)
	d.want("tasks\n", "network", "ls", "--format", "{{.Name}}")
	d.want("mine\n", "network", "create", "mine")
	d.fails("already exists", "network", "create", "mine")
	d.run("run", "--detach", "--name", "server", "--network", "mine", f.Base, "nc", "-ll", "-p", "80", "-e", "echo", "answer")
	d.want("answer\n", "run", "--rm", "--network", "mine", f.Base, "sh", "-c", "for i in $(seq 100); do nc -w 1 server 80 | grep . && exit 0; sleep 0.05; done; exit 1")
	d.matches(`"server"`, "network", "inspect", "mine")
	d.fails("active endpoints", "network", "rm", "mine")
	d.run("rm", "--force", "server")
	d.want("mine\n", "network", "rm", "mine")
	d.fails("not found", "run", "--rm", "--network", "mine", f.Base, "true")

	d.run("run", "--rm", "--volume", "data:/d", f.Base, "sh", "-c", "echo kept > /d/file")
	d.want("kept\nx", "run", "--rm", "--volume", "data:/d:ro", "--volume", "secret:/s", f.Base, "cat", "/d/file", "/s/key")
	d.want("data\nsecret\n", "volume", "ls", "--format", "{{.Name}}")
	d.fails("in use", "volume", "rm", "secret")
	d.want("more\n", "volume", "create", "more")
	d.want("data\n", "volume", "rm", "data")
	d.want("again\n", "volume", "create", "again") // a removed one leaves no hole for it
	for range 2 {
		d.fails("the image has a file there", "run", "--rm", "--volume", "half:/etc/passwd", f.Base, "true")
	}
	d.want("again\nmore\nsecret\n", "volume", "ls", "--format", "{{.Name}}")
	if err := os.WriteFile(filepath.Join(d.s.spec.Workspace, "file"), []byte("shared\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shared", "/workspace"} {
		d.want("shared\n", "run", "--rm", "--volume", name+":/here", f.Base, "cat", "/here/file")
	}
	d.want("no\n", "run", "--rm", f.Base, "sh", "-c", "test -e /workspace || echo no") // only what it asked for
}

// What a step's client asks for is held against what steps may.
func TestDockerRefuses(t *testing.T) {
	f := enginetest.NewFixtures(t)
	e := openIn(t, t.TempDir())
	d, other := openDocker(t, e, "one", f, nil), openDocker(t, e, "two", f, nil)
	d.run("pull", f.Base)
	other.run("pull", f.Base)
	other.run("tag", f.Base, "others:1")
	other.run("run", "--detach", "--name", "others", f.Base, "sleep", "1000")
	d.want("", "ps", "--all", "--quiet")
	d.fails("No such container: others", "stop", "others")
	d.fails("No such image", "tag", "others:1", "mine:1")
	for why, args := range map[string][]string{
		"privileged containers are not allowed":      {"--privileged"},
		"capability CAP_SYS_ADMIN":                   {"--cap-add", "SYS_ADMIN"},
		"sees nothing of the machine":                {"--volume", "/etc:/host"},
		"HostConfig.PidMode":                         {"--pid", "host"},
		"HostConfig.Devices":                         {"--device", "/dev/null"},
		"the security option seccomp":                {"--security-opt", "seccomp=unconfined"},
		"HostConfig.IpcMode":                         {"--ipc", "host"},
		"HostConfig.UsernsMode":                      {"--userns", "host"},
		"HostConfig.Runtime":                         {"--runtime", "other"},
		"HostConfig.Sysctls":                         {"--sysctl", "net.ipv4.ip_forward=1"},
		"HostConfig.VolumesFrom":                     {"--volumes-from", "x"},
		"HostConfig.Links":                           {"--link", "x"},
		"network nowhere not found":                  {"--network", "nowhere"},
		"Healthcheck":                                {"--health-cmd", "true"},
		"a mount of the type npipe":                  {"--mount", "type=npipe,source=a,target=/a"},
		"the socket /var/run/docker.sock is offered": {"--volume", "/var/run/docker.sock:/other"},
	} {
		d.fails(why, append(append([]string{"run", "--rm"}, args...), f.Base, "true")...)
	}
	for why, args := range map[string][]string{
		"GET /events is not offered":                {"events"},
		"POST /containers/prune is not offered":     {"container", "prune", "--force"},
		"/commit is not offered":                    {"commit", "x", "y"},
		"GET /images/get is not offered":            {"save", f.Base},
		"POST /swarm/init is not offered":           {"swarm", "init"},
		"GET /plugins is not offered":               {"plugin", "ls"},
		"the network driver overlay is not offered": {"network", "create", "--driver", "overlay", "x"},
	} {
		d.fails(why, args...)
	}
	get := func(path string) (int, string) {
		client := &http.Client{Transport: &http.Transport{DialContext: unixDialer(d.s.socketPath())}}
		response, err := client.Get("http://docker" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	for path, status := range map[string]int{
		"/v1.12/_ping": 400, "/v1.99/_ping": 400, "/v2.0/_ping": 400, "/_ping": 200, "/v1.41/_ping": 200, "/containers/x/json": 404,
		"/containers/../../etc/json": 404, "/nothing": 501, "/containers/json?filters=x": 400, "/images/x/json": 404, "/exec/x/json": 404,
	} {
		if got, body := get(path); got != status && !(status == 404 && got == 501) {
			t.Errorf("%s: status %d, want %d: %s", path, got, status, body)
		}
	}
}

func unixDialer(path string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
}

// Steps find the API where docker's client looks for it.
func TestDockerInSteps(t *testing.T) {
	f := enginetest.NewFixtures(t)
	d := openDocker(t, openIn(t, t.TempDir()), "steps", f, nil)
	var out bytes.Buffer
	c := engine.Command{Name: "asks", Image: f.Base, User: "1000", Args: []string{"sh", "-c",
		"test -S /var/run/docker.sock && test -w /var/run/docker.sock && test -S /run/docker.sock || test -S /var/run/docker.sock && echo there"}}
	if result, err := d.s.Command(t.Context(), c, &out); err != nil || result.ExitCode != 0 || !strings.HasSuffix(out.String(), "there\n") {
		t.Errorf("%+v, %v: %s", result, err, out.String())
	}
}

// The image docker is this machine's client, at the run's own socket, and no registry is
// asked for it.
func TestDockerClientImage(t *testing.T) {
	f := enginetest.NewFixtures(t)
	root := t.TempDir()
	for range 2 { // the second finds what the first has made
		e, err := Open(t.Context(), Options{Root: root, Dialer: loopback(), DockerClient: dockerClient()})
		if err != nil {
			t.Fatal(err)
		}
		s := openScope(t, e, "client")
		run := func(c engine.Command) string {
			t.Helper()
			var out bytes.Buffer
			result, err := s.Command(t.Context(), c, &out)
			if err != nil || result.ExitCode != 0 {
				t.Errorf("%+v: %+v, %v\n%s", c.Args, result, err, out.String())
			}
			return out.String()
		}
		run(engine.Command{Name: "service", Image: f.Base, Detach: true, Args: []string{"sleep", "1000"}})
		if out := run(engine.Command{Image: "docker", Args: []string{"ps", "--format", "{{.Names}}"}}); !strings.Contains(out, "service\n") {
			t.Errorf("docker ps printed %q", out)
		}
		if out := run(engine.Command{Image: "docker", Pull: true, Args: []string{"rm", "--force", "service"}}); out != "service\n" {
			t.Errorf("docker rm printed %q", out)
		}
		var out bytes.Buffer
		if result, err := s.(engine.Puller).Pull(t.Context(), "docker", &out); err != nil || !result.OK {
			t.Errorf("a pull: %+v, %v\n%s", result, err, out.String())
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

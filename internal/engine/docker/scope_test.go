//go:build linux

package docker

import (
	"bytes"
	"context"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// fixture is an engine of the test's own, a registry and an image there.
type fixture struct {
	host     string
	engine   *client.Client
	registry *enginetest.Registry
	base     string
}

func TestScopes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Docker Engine")
	}
	f := &fixture{host: enginetest.StartDockerEngine(t), registry: enginetest.NewRegistry(t, "")}
	f.engine = connect(t, f.host)
	f.base = f.registry.Push(t, "base:1", enginetest.Busybox(t))
	for name, test := range map[string]func(*testing.T, *fixture){
		"Cleanup": testCleanup, "Refusals": testRefusals, "Identity": testIdentity, "BorrowedLayers": testBorrowedLayers, "NoWayOut": testNoWayOut, "Reclaim": testReclaim, "IPv6": testIPv6, "User": testUser, "Volumes": testVolumes, "Ports": testPorts,
	} {
		t.Run(name, func(t *testing.T) { test(t, f) })
	}
}

func begin(t *testing.T, e *Executor, spec engine.RunSpec) *Scope {
	t.Helper()
	s := beginLost(t, e, spec)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the scope: %v", err)
		}
	})
	return s
}

// beginLost is begin for a scope that nobody will close.
func beginLost(t *testing.T, e *Executor, spec engine.RunSpec) *Scope {
	t.Helper()
	if spec.ID == "" {
		spec.ID = "Run-1"
	}
	spec.Workspace, spec.Home = relative(t, t.TempDir()), t.TempDir()
	s, err := e.Open(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Scope)
}

// relative is how a server may have been told where its data is.
func relative(t *testing.T, dir string) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Rel(here, dir)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a command and returns its exit code and what it printed.
func run(t *testing.T, s *Scope, c engine.Command) (int, string) {
	t.Helper()
	var out bytes.Buffer
	result, err := s.Command(t.Context(), c, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return result.ExitCode, out.String()
}

// all lists what is in the engine, by kind and name.
func (f *fixture) all(t *testing.T) []string {
	t.Helper()
	var all []string
	containers, err := f.engine.ContainerList(t.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers.Items {
		all = append(all, "container "+strings.Join(c.Names, " "))
	}
	networks, err := f.engine.NetworkList(t.Context(), client.NetworkListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks.Items {
		all = append(all, "network "+n.Name)
	}
	volumes, err := f.engine.VolumeList(t.Context(), client.VolumeListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		all = append(all, "volume "+v.Name)
	}
	images, err := f.engine.ImageList(t.Context(), client.ImageListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range images.Items {
		all = append(all, "image "+strings.Join(image.RepoTags, " "))
	}
	slices.Sort(all)
	return all
}

// fill has a run make one of everything.
func fill(t *testing.T, f *fixture, s *Scope) {
	t.Helper()
	if err := s.CreateNetwork(t.Context(), engine.Network{Name: "net"}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateVolume(t.Context(), "v", map[string][]byte{"key": []byte("value")}); err != nil {
		t.Fatal(err)
	}
	mounts := []engine.Mount{{Volume: "v", Path: "/v"}}
	if code, out := run(t, s, engine.Command{Name: "server", Image: f.base, Network: "net", Detach: true, Mounts: mounts, Args: []string{"sleep", "1000"}}); code != 0 {
		t.Fatal(out)
	}
	if code, out := run(t, s, engine.Command{Name: "kept", Image: f.base, Keep: true, Args: []string{"true"}}); code != 0 {
		t.Fatal(out)
	}
}

// What a run made goes with it, or with the next start after a kill, and nothing else
// goes: not even other people's names of the same image.
func testCleanup(t *testing.T, f *fixture) {
	root := t.TempDir()
	e, err := Open(t.Context(), Options{Root: root, Host: f.host, Dialer: &egress.Dialer{Policy: egress.Policy{Loopback: true}}})
	if err != nil {
		t.Fatal(err)
	}
	first := begin(t, e, engine.RunSpec{})
	fill(t, f, first)
	other := f.others(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	want := f.all(t)
	for _, mine := range other {
		if !slices.ContainsFunc(want, func(s string) bool { return strings.Contains(s, mine) }) {
			t.Errorf("%s of other people is gone: %q", mine, want)
		}
	}
	if slices.ContainsFunc(want, func(s string) bool { return strings.Contains(s, e.id) }) {
		t.Errorf("something of the run is left: %q", want)
	}
	fill(t, f, beginLost(t, e, engine.RunSpec{}))
	if err := e.store.Close(); err != nil { // as the end of the process would
		t.Fatal(err)
	}
	next, err := Open(t.Context(), Options{Root: root, Host: f.host})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.all(t); !slices.Equal(got, want) {
		t.Errorf("after a kill there is %q, want %q", got, want)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}

// others makes what other people have in an engine, and takes it away at the end.
func (f *fixture) others(t *testing.T, s *Scope) []string {
	t.Helper()
	images, err := f.engine.ImageList(t.Context(), client.ImageListOptions{Filters: client.Filters{}.Add("reference", s.names.repository())})
	if err != nil || len(images.Items) != 1 {
		t.Fatalf("images %+v, error %v", images.Items, err)
	}
	if _, err := f.engine.ImageTag(t.Context(), client.ImageTagOptions{Source: images.Items[0].ID, Target: "others-image:1"}); err != nil {
		t.Fatal(err)
	}
	c, err := f.engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: "others-container", Image: "others-image:1", Config: &container.Config{Cmd: []string{"true"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.engine.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: "others-volume"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		f.engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
		f.engine.VolumeRemove(ctx, "others-volume", client.VolumeRemoveOptions{})
		f.engine.ImageRemove(ctx, "others-image:1", client.ImageRemoveOptions{Force: true})
	})
	return []string{"others-image:1", "others-container", "others-volume"}
}

// What controls the engine's machine is refused, unless it is allowed.
func testRefusals(t *testing.T, f *fixture) {
	e, err := Open(t.Context(), Options{Root: t.TempDir(), Host: f.host, Dialer: &egress.Dialer{Policy: egress.Policy{Loopback: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if second, err := Open(t.Context(), Options{Root: e.options.Root, Host: f.host}); err == nil {
		second.Close()
		t.Error("two executors have one directory")
	}
	s := begin(t, e, engine.RunSpec{})
	for _, c := range []engine.Command{{Privileged: true}, {Network: "host"}, {Network: "container:others"}} {
		c.Image, c.Args = f.base, []string{"true"}
		code, out := run(t, s, c)
		if code != 125 || !strings.Contains(out, "not allowed on this agent") && !strings.Contains(out, "No such container: others\n") {
			t.Errorf("%+v: exit code %d\n%s", c, code, out)
		}
	}
}

type handler struct {
	http.Handler
	has bool
}

func (h handler) HasIdentities() bool { return h.has }

// A run with identities is told once that its steps have no endpoint.
func testIdentity(t *testing.T, f *fixture) {
	e := open(t, f.host, t.TempDir())
	for _, test := range []struct {
		identity http.Handler
		notes    int
	}{{nil, 0}, {handler{has: false}, 0}, {handler{has: true}, 1}, {http.NotFoundHandler(), 1}} {
		s := begin(t, e, engine.RunSpec{Identity: test.identity})
		_, one := run(t, s, engine.Command{Image: f.base, Args: []string{"true"}})
		_, two := run(t, s, engine.Command{Image: f.base, Args: []string{"true"}})
		if got := strings.Count(one+two, "169.254.169.254"); got != test.notes {
			t.Errorf("%T: %d notes in %q", test.identity, got, one+two)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An image that names the layers of another, and brings other ones, is not that other:
// the engine would take the layers that it has.
func testBorrowedLayers(t *testing.T, f *fixture) {
	e := open(t, f.host, t.TempDir())
	s := begin(t, e, engine.RunSpec{})
	if code, out := run(t, s, engine.Command{Image: f.base, Args: []string{"true"}}); code != 0 {
		t.Fatal(out)
	}
	thief := begin(t, e, engine.RunSpec{ID: "Run-2"})
	if code, out := run(t, thief, engine.Command{Image: borrow(t, f), Args: []string{"true"}}); code != 125 || !strings.Contains(out, "is damaged") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// borrow pushes an image with the configuration of base and a layer of its own.
func borrow(t *testing.T, f *fixture) string {
	t.Helper()
	ref, err := name.ParseReference(f.base)
	if err != nil {
		t.Fatal(err)
	}
	base, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	config, err := base.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layer, err := random.Layer(100, types.DockerLayer)
	if err != nil {
		t.Fatal(err)
	}
	own, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	if own, err = mutate.ConfigFile(own, config); err != nil {
		t.Fatal(err)
	}
	return f.registry.Push(t, "borrowed:1", own)
}

// Without a way out RUN instructions and steps have none.
func testNoWayOut(t *testing.T, f *fixture) {
	e, err := Open(t.Context(), Options{Root: t.TempDir(), Host: f.host, Dialer: &egress.Dialer{Policy: egress.Policy{Loopback: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s := begin(t, e, engine.RunSpec{})
	if code, out := run(t, s, engine.Command{Image: f.base, Args: []string{"true"}}); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	network, err := f.engine.NetworkInspect(t.Context(), s.names.network(""), client.NetworkInspectOptions{})
	if err != nil || !network.Network.Internal {
		t.Errorf("network %+v, error %v", network, err)
	}
	dockerfile := filepath.Join(s.spec.Workspace, "Dockerfile")
	if err := os.WriteFile(dockerfile, []byte("FROM "+f.base+"\nRUN ls /sys/class/net\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	result, err := s.Build(t.Context(), engine.Build{ContextDir: s.spec.Workspace, Dockerfile: dockerfile}, &out)
	if err != nil || !result.OK || strings.Contains(out.String(), "eth0\n") || !strings.Contains(out.String(), "\nlo\n") {
		t.Errorf("result %+v, error %v\n%s", result, err, out.String())
	}
}

// Directories that steps make, however closed, can be given to who runs the agent.
func testReclaim(t *testing.T, f *fixture) {
	s := begin(t, open(t, f.host, t.TempDir()), engine.RunSpec{})
	const script = "mkdir -p /workspace/a/b/c /workspace/d && touch /workspace/a/b/f && chmod 700 /workspace/a /workspace/a/b"
	if code, out := run(t, s, engine.Command{Image: f.base, Args: []string{"sh", "-c", script}}); code != 0 {
		t.Fatal(out)
	}
	if err := s.reclaim(t.Context(), s.anyImage, s.spec.Workspace, someone, someone); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"a", "a/b", "a/b/c", "d"} {
		info, err := os.Stat(filepath.Join(s.spec.Workspace, dir))
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != someone || info.Mode().Perm() != 0o755 {
			t.Errorf("%s belongs to %d, and is %v", dir, uid, info.Mode())
		}
	}
}

func testIPv6(t *testing.T, f *fixture) {
	s := begin(t, open(t, f.host, t.TempDir()), engine.RunSpec{})
	if err := s.CreateNetwork(t.Context(), engine.Network{Name: "six", IPv6: true}); err != nil {
		t.Fatal(err)
	}
	if code, out := run(t, s, engine.Command{Image: f.base, Network: "six", Args: []string{"sh", "-c", "ip addr | grep 'inet6 fd'"}}); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// Volumes are in memory here, and the engine's where it does not see this machine's. In
// either case steps read them and cannot write.
func testVolumes(t *testing.T, f *fixture) {
	for _, inMemory := range []bool{true, false} {
		e := open(t, f.host, t.TempDir())
		if e.secrets == "" {
			t.Fatal("the machine keeps no files in memory")
		}
		kept := e.secrets
		if !inMemory {
			e.secrets = ""
		}
		s := begin(t, e, engine.RunSpec{})
		if err := s.CreateVolume(t.Context(), "v", map[string][]byte{"a": []byte("one"), "sub/b": []byte("two")}); err != nil {
			t.Fatal(err)
		}
		c := engine.Command{Image: f.base, User: "1000", Mounts: []engine.Mount{{Volume: "v", Path: "/v"}}}
		c.Args = []string{"sh", "-c", "cat /v/a /v/sub/b && ! touch /v/c"}
		if code, out := run(t, s, c); code != 0 || !strings.Contains(out, "onetwo") {
			t.Errorf("in memory %v: exit code %d\n%s", inMemory, code, out)
		}
		volumes, err := f.engine.VolumeList(t.Context(), client.VolumeListOptions{Filters: s.names.filters()})
		if err != nil || len(volumes.Items) > 0 == inMemory {
			t.Errorf("in memory %v: volumes %+v, error %v", inMemory, volumes.Items, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(kept); err != nil || len(left) > 0 {
			t.Errorf("left: %v, error %v", left, err)
		}
		e.secrets = kept
	}
}

// Ports are published for the user of this machine, who asked for it, and nowhere else.
func testPorts(t *testing.T, f *fixture) {
	e := open(t, f.host, t.TempDir())
	s := begin(t, e, engine.RunSpec{Privileged: true}) // to look at it from the engine's machine
	serve := engine.Command{Name: "server", Image: f.base, Detach: true, Ports: []string{"0.0.0.0:8001-8002:81-82/tcp"},
		Args: []string{"sh", "-c", "nc -ll -p 82 -e echo second & nc -ll -p 81 -e echo first"}}
	if code, out := run(t, s, serve); code != 125 || !strings.Contains(out, "ports are not published on an agent's Docker Engine") {
		t.Errorf("for an agent: exit code %d\n%s", code, out)
	}
	e.options.PublishAt = netip.MustParseAddr("127.0.0.1")
	serve.Ports = append(serve.Ports, "nonsense")
	if code, out := run(t, s, serve); code != 125 || !strings.Contains(out, "nonsense") {
		t.Errorf("a bad port: exit code %d\n%s", code, out)
	}
	serve.Ports = serve.Ports[:1]
	if code, out := run(t, s, serve); code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for port, want := range map[string]string{"8001": "first\n", "8002": "second\n"} {
		script := "for i in $(seq 100); do nc -w 1 127.0.0.1 " + port + " | grep . && exit 0; sleep 0.05; done; exit 1"
		if code, out := run(t, s, engine.Command{Image: f.base, Network: "host", Args: []string{"sh", "-c", script}}); code != 0 || out != want {
			t.Errorf("port %s: exit code %d, %q, want %q", port, code, out, want)
		}
	}
	bound := engine.Command{Image: f.base, Network: "host", Args: []string{"sh", "-c", "netstat -ltn | grep -c 127.0.0.1:800; netstat -ltn | grep :800 | grep -vc 127.0.0.1"}}
	if _, out := run(t, s, bound); out != "2\n0\n" {
		t.Errorf("listening at 127.0.0.1 and elsewhere: %q", out)
	}
	again := engine.Command{Image: f.base, Ports: []string{"8001:81"}, Args: []string{"true"}}
	if code, out := run(t, s, again); code != 125 || !strings.Contains(out, "port is already allocated") {
		t.Errorf("the same port: exit code %d\n%s", code, out)
	}
}

package enginetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/engine"
)

var commandTests = map[string]func(*suite){
	"CommandPullsAndRuns":      (*suite).testCommandPullsAndRuns,
	"CommandExitCodes":         (*suite).testCommandExitCodes,
	"CommandOptions":           (*suite).testCommandOptions,
	"CommandMemory":            (*suite).testCommandMemory,
	"CommandSeesLimits":        (*suite).testCommandSeesLimits,
	"CommandPrivileges":        (*suite).testCommandPrivileges,
	"CommandStreams":           (*suite).testCommandStreams,
	"CommandNetworks":          (*suite).testCommandNetworks,
	"CommandNames":             (*suite).testCommandNames,
	"CommandVolumes":           (*suite).testCommandVolumes,
	"CommandIdentity":          (*suite).testCommandIdentity,
	"CommandCancel":            (*suite).testCommandCancel,
	"CommandDeadline":          (*suite).testCommandDeadline,
	"CloseEndsWhatRuns":        (*suite).testCloseEndsWhatRuns,
	"CommandWorkspaceIsShared": (*suite).testCommandWorkspaceIsShared,
}

func (s *suite) testCommandPullsAndRuns() {
	r := s.open(nil)
	result, out := r.command(engine.Command{Name: "step", Args: []string{"echo", "hello"}})
	if result.ExitCode != 0 || len(result.ContainerID) != 64 {
		s.Errorf("result %+v", result)
	}
	s.contains(out, "Unable to find image '"+s.Base+"' locally\n", "1: Pulling from baseimages/busybox\n",
		"Digest: sha256:", "Status: Downloaded newer image for "+s.Base+"\n", "hello\n")
	if _, out := r.command(engine.Command{Args: []string{"echo", "again"}}); out != "again\n" {
		s.Errorf("the second command printed %q", out)
	}
}

func (s *suite) testCommandExitCodes() {
	r := s.open(nil)
	r.pull()
	for _, test := range []struct {
		name string
		args []string
		code int
	}{
		{"own", []string{"sh", "-c", "exit 7"}, 7},
		{"not found", []string{"no-such-program"}, 127},
		{"not executable", []string{"/etc/passwd"}, 126},
		{"killed", []string{"sh", "-c", "sh -c 'kill -9 $$'; exit $?"}, 137},
	} {
		if result, out := r.command(engine.Command{Args: test.args}); result.ExitCode != test.code {
			s.Errorf("%s: exit code %d, want %d\n%s", test.name, result.ExitCode, test.code, out)
		}
	}
	if result, out := r.command(engine.Command{Image: s.Public.Host + "/no/such:image"}); result.ExitCode != 125 {
		s.Errorf("missing image: exit code %d\n%s", result.ExitCode, out)
	}
}

func (s *suite) testCommandOptions() {
	r := s.open(nil)
	r.pull()
	for name, test := range map[string]struct {
		c    engine.Command
		want string
	}{
		"env":              {engine.Command{Args: []string{"sh", "-c", "echo $A $FROM_IMAGE"}, Env: []string{"A=1"}}, "1 yes\n"},
		"env overrides":    {engine.Command{Args: []string{"sh", "-c", "echo $FROM_IMAGE"}, Env: []string{"FROM_IMAGE=no"}}, "no\n"},
		"user":             {engine.Command{Args: []string{"id", "-u"}, User: "1000"}, "1000\n"},
		"user by name":     {engine.Command{Args: []string{"whoami"}, User: "user"}, "user\n"},
		"working dir":      {engine.Command{Args: []string{"pwd"}, WorkingDir: "/made/for/it"}, "/made/for/it\n"},
		"entrypoint":       {engine.Command{Entrypoint: []string{"echo", "a"}, Args: []string{"b"}}, "a b\n"},
		"entrypoint clear": {engine.Command{Entrypoint: []string{""}, Args: []string{"echo", "c"}}, "c\n"},
		"stdin":            {engine.Command{Args: []string{"cat"}, Stdin: strings.NewReader("typed")}, "typed"},
		"host entry":       {engine.Command{Args: []string{"grep", "-c", "some.host", "/etc/hosts"}, Hosts: []string{"some.host:10.1.2.3"}}, "1\n"},
	} {
		if result, out := r.command(test.c); result.ExitCode != 0 || out != test.want {
			s.Errorf("%s: exit code %d, printed %q, want %q", name, result.ExitCode, out, test.want)
		}
	}
	if result, out := r.command(engine.Command{Args: []string{"true"}, User: "nobody-knows"}); result.ExitCode == 0 {
		s.Errorf("unknown user: succeeded\n%s", out)
	}
}

func (s *suite) testCommandMemory() {
	if !s.limits() {
		return // whoever runs the executor may not limit memory
	}
	r := s.open(nil)
	r.pull()
	result, out := r.command(engine.Command{
		Args:   []string{"sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1"},
		Memory: 64 << 20, CPUs: 0.5,
	})
	if !result.OOMKilled || result.ExitCode == 0 {
		s.Errorf("result %+v\n%s", result, out)
	}
}

// seeLimit prints a container's memory limit as programs find it, with either version of
// control groups, and then that the container may not raise it.
const seeLimit = "cd /sys/fs/cgroup && f=memory.max && { [ -e $f ] || f=memory/memory.limit_in_bytes; } && cat $f && " +
	"{ ! echo 1000000000 > $f; } 2>/dev/null && echo kept"

// Programs choose their heaps by what they see.
func (s *suite) testCommandSeesLimits() {
	if !s.limits() {
		return // whoever runs the executor may not limit memory
	}
	r := s.open(nil)
	r.pull()
	for _, user := range []string{"", "1000"} {
		c := engine.Command{Args: []string{"sh", "-c", seeLimit}, Memory: 64 << 20, User: user}
		if _, out := r.command(c); out != "67108864\nkept\n" {
			s.Errorf("user %q sees and may: %q", user, out)
		}
	}
}

func (s *suite) testCommandPrivileges() {
	r := s.open(nil)
	r.pull()
	mount := []string{"sh", "-c", "mkdir -p /m && mount -t tmpfs none /m"}
	if result, _ := r.command(engine.Command{Args: mount}); result.ExitCode == 0 {
		s.Error("a container without privileges may mount")
	}
	s.contains(r.shell("grep CapEff /proc/self/status"), "CapEff:\t00000000a80425fb")
	s.needs(Privilege)
	if result, out := r.command(engine.Command{Args: mount, Privileged: true}); result.ExitCode != 0 {
		s.Errorf("a privileged container may not mount:\n%s", out)
	}
	plain := s.openSpec(engine.RunSpec{ID: "plain", Workspace: s.TempDir(), Home: s.TempDir()})
	plain.pull()
	for _, c := range []engine.Command{{Privileged: true}, {Options: engine.Options{CapAdd: []string{"SYS_ADMIN"}}}, {Options: engine.Options{CapAdd: []string{"all"}}}} {
		c.Args = []string{"true"}
		if result, out := plain.command(c); result.ExitCode != 125 || !strings.Contains(out, "privileged") {
			s.Errorf("a run without privileges has them: exit code %d, %q", result.ExitCode, out)
		}
	}
}

// twoStreams takes what a container prints, each stream on its own.
type twoStreams struct {
	bytes.Buffer
	errors bytes.Buffer
}

// Stderr is what engine.Streams looks for.
func (t *twoStreams) Stderr() io.Writer { return &t.errors }

func (s *suite) testCommandStreams() {
	r := s.open(nil)
	r.pull()
	var out twoStreams
	script := []string{"sh", "-c", "printf on; echo two >&2; echo e"}
	if _, err := r.Command(s.Context(), engine.Command{Image: s.Base, Args: script}, &out); err != nil {
		s.Fatal(err)
	}
	if out.String() != "one\n" || out.errors.String() != "two\n" {
		s.Errorf("printed %q and %q", out.String(), out.errors.String())
	}
}

func (s *suite) testCommandNetworks() {
	r := s.open(nil)
	r.pull()
	if err := r.CreateNetwork(s.Context(), engine.Network{Name: "net"}); err != nil {
		s.Fatal(err)
	}
	serve := engine.Command{Name: "server", Network: "net", Detach: true, Image: s.Base,
		Args: []string{"sh", "-c", "while true; do echo answer | nc -l -p 8080; done"}}
	if result, out := r.command(serve); result.ExitCode != 0 || len(result.ContainerID) != 64 || out != "" {
		s.Fatalf("result %+v\n%s", result, out)
	}
	ask := []string{"sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do nc -w 1 server 8080 && exit 0; sleep 0.1; done; exit 1"}
	if result, out := r.command(engine.Command{Network: "net", Args: ask}); result.ExitCode != 0 || out != "answer\n" {
		s.Errorf("same network: exit code %d, %q", result.ExitCode, out)
	}
	local := []string{"sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do nc -w 1 127.0.0.1 8080 && exit 0; sleep 0.1; done; exit 1"}
	if result, out := r.command(engine.Command{Network: "container:server", Args: local}); result.ExitCode != 0 || out != "answer\n" {
		s.Errorf("the server's own network: exit code %d, %q", result.ExitCode, out)
	}
	for _, network := range []string{"", "none"} {
		if _, out := r.command(engine.Command{Network: network, Args: []string{"grep", "server", "/etc/hosts"}}); out != "" {
			s.Errorf("network %q knows the server: %q", network, out)
		}
	}
	if result, out := r.command(engine.Command{Network: "none", Args: []string{"sh", "-c", "ls /sys/class/net"}}); result.ExitCode != 0 || strings.Contains(out, "eth0") {
		s.Errorf("network none has devices: %q", out)
	}
	if result, out := r.command(engine.Command{Network: "nowhere", Args: []string{"true"}}); result.ExitCode != 125 {
		s.Errorf("unknown network: exit code %d, %q", result.ExitCode, out)
	}
}

func (s *suite) testCommandNames() {
	r := s.open(nil)
	r.pull()
	for range 2 { // the name is free again
		if result, out := r.command(engine.Command{Name: "once", Args: []string{"true"}}); result.ExitCode != 0 {
			s.Errorf("exit code %d\n%s", result.ExitCode, out)
		}
	}
	r.command(engine.Command{Name: "kept", Keep: true, Args: []string{"true"}})
	result, out := r.command(engine.Command{Name: "kept", Args: []string{"true"}})
	if result.ExitCode != 125 {
		s.Errorf("a name that is taken: exit code %d", result.ExitCode)
	}
	s.contains(out, `The container name "/kept" is already in use`)
}

func (s *suite) testCommandVolumes() {
	r := s.open(nil)
	r.pull()
	if err := r.CreateVolume(s.Context(), "v", map[string][]byte{"key": []byte("secret"), "sub/key": []byte("too")}); err != nil {
		s.Fatal(err)
	}
	mounted := engine.Command{Mounts: []engine.Mount{{Volume: "v", Path: "/run/v"}}}
	mounted.Args = []string{"cat", "/run/v/key", "/run/v/sub/key"}
	if result, out := r.command(mounted); result.ExitCode != 0 || out != "secrettoo" {
		s.Errorf("exit code %d, %q", result.ExitCode, out)
	}
	mounted.Args = []string{"sh", "-c", "echo x > /run/v/key"}
	if result, _ := r.command(mounted); result.ExitCode == 0 {
		s.Error("a volume can be written to")
	}
	if result, _ := r.command(engine.Command{Args: []string{"cat", "/run/v/key"}}); result.ExitCode == 0 {
		s.Error("a volume is seen without a mount")
	}
}

func (s *suite) testCommandIdentity() {
	s.needs(Identity)
	identity := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "token for "+req.URL.Query().Get("resource"))
	})
	r := s.openSpec(engine.RunSpec{ID: "id", Workspace: s.TempDir(), Home: s.TempDir(), Identity: identity})
	r.pull()
	ask := "wget -q -O - 'http://169.254.169.254/metadata/identity/oauth2/token?resource=x'"
	if out := r.shell(ask); out != "token for x" {
		s.Errorf("got %q", out)
	}
	other := s.open(nil)
	other.pull()
	if result, _ := other.command(engine.Command{Args: []string{"sh", "-c", ask}}); result.ExitCode == 0 {
		s.Error("another run reaches the endpoint")
	}
	if result, _ := r.command(engine.Command{Network: "none", Args: []string{"sh", "-c", ask}}); result.ExitCode == 0 {
		s.Error("the endpoint is reached without a network")
	}
}

func (s *suite) testCommandCancel() {
	r := s.open(nil)
	r.pull()
	cause := errors.New("canceled by the user")
	ctx, out := s.canceledBy(cause)
	_, err := r.Command(ctx, engine.Command{Image: s.Base, Args: []string{"sh", "-c", "trap '' TERM; echo started; sleep 1000"}}, out)
	if !errors.Is(err, cause) {
		s.Errorf("error %v, want %v", err, cause)
	}
}

func (s *suite) testCommandDeadline() {
	r := s.open(nil)
	r.pull()
	cause := errors.New("timed out")
	script := "trap 'echo polite; exit 0' TERM; echo started; while true; do sleep 0.05; done"
	// However long it takes to start here, and to hear of the end, the deadline comes later
	// at last.
	for limit := 300 * time.Millisecond; ; limit *= 2 {
		ctx, cancel := context.WithTimeoutCause(s.Context(), limit, cause)
		var out bytes.Buffer
		_, err := r.Command(ctx, engine.Command{Image: s.Base, Args: []string{"sh", "-c", script}}, &out)
		cancel()
		if !errors.Is(err, cause) {
			s.Fatalf("error %v, want %v", err, cause)
		}
		if strings.HasPrefix(out.String(), "started\npolite\n") || limit > time.Minute {
			s.contains(out.String(), "started\n", "polite\n")
			return
		}
	}
}

func (s *suite) testCloseEndsWhatRuns() {
	r := s.open(nil)
	r.pull()
	r.command(engine.Command{Name: "server", Detach: true, Args: []string{"sleep", "1000"}})
	failed := make(chan error, 1)
	started := make(chan struct{})
	out := &trigger{word: "started", pull: func() { close(started) }}
	go func() {
		_, err := r.Command(context.Background(), engine.Command{Image: s.Base, Args: []string{"sh", "-c", "echo started; sleep 1000"}}, out)
		failed <- err
	}()
	<-started
	if err := r.Close(); err != nil {
		s.Error(err)
	}
	if err := <-failed; err == nil {
		s.Error("a command survived the scope")
	}
	if _, err := r.Command(s.Context(), engine.Command{Image: s.Base}, io.Discard); err == nil {
		s.Error("a closed scope takes commands")
	}
}

func (s *suite) testCommandWorkspaceIsShared() {
	r := s.open(nil)
	r.pull()
	r.shell("echo one > /workspace/file; echo two > /acb/home/file")
	if out := r.shell("cat /workspace/file /acb/home/file"); out != "one\ntwo\n" {
		s.Errorf("got %q", out)
	}
}

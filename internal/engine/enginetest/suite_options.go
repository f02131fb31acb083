package enginetest

import (
	"strings"

	"github.com/acrux/acrux/internal/engine"
)

var optionTests = map[string]func(*suite){
	"CommandPorts":        (*suite).testCommandPorts,
	"CommandPortsTaken":   (*suite).testCommandPortsTaken,
	"CommandFewOptions":   (*suite).testCommandFewOptions,
	"CommandCapabilities": (*suite).testCommandCapabilities,
	"CommandNamedVolumes": (*suite).testCommandNamedVolumes,
	"CommandAliases":      (*suite).testCommandAliases,
	"CommandNoPull":       (*suite).testCommandNoPull,
}

// retrying makes a script try a command until it works, for some seconds.
func retrying(command string) []string {
	return []string{"sh", "-c", "for i in $(seq 100); do " + command + " && exit 0; sleep 0.05; done; exit 1"}
}

// Published ports are found on what is the host to the run, and end with their container.
func (s *suite) testCommandPorts() {
	s.needs(Ports)
	r := s.open(nil)
	r.pull()
	serve := engine.Command{Name: "server", Detach: true, Image: s.Base, Ports: []string{"8001-8002:81-82", "127.0.0.1:8003:81/tcp"},
		Args: []string{"sh", "-c", "nc -ll -p 82 -e echo second & nc -ll -p 81 -e echo first"}}
	if result, out := r.command(serve); result.ExitCode != 0 {
		s.Fatalf("exit code %d\n%s", result.ExitCode, out)
	}
	for port, want := range map[string]string{"8001": "first\n", "8002": "second\n", "8003": "first\n"} {
		ask := engine.Command{Network: "host", Args: retrying("nc -w 1 127.0.0.1 " + port + " | grep .")}
		if result, out := r.command(ask); result.ExitCode != 0 || out != want {
			s.Errorf("port %s of the host: exit code %d, %q, want %q", port, result.ExitCode, out, want)
		}
	}
	other := s.open(nil)
	other.pull()
	if result, _ := other.command(engine.Command{Network: "host", Args: []string{"nc", "-w", "1", "127.0.0.1", "8001"}}); result.ExitCode == 0 {
		s.Error("another run reaches the port")
	}
	if result, out := r.command(engine.Command{Args: []string{"true"}, Ports: []string{"nonsense"}}); result.ExitCode != 125 || !strings.Contains(out, "nonsense") {
		s.Errorf("a bad port: exit code %d, %q", result.ExitCode, out)
	}
}

// Two containers of a run cannot have the same port; runs do not meet, and a port is free
// again once its container has ended.
func (s *suite) testCommandPortsTaken() {
	s.needs(Ports)
	r := s.open(nil)
	r.pull()
	publish := func(r *run, detach bool) (engine.CommandResult, string) {
		return r.command(engine.Command{Detach: detach, Ports: []string{"8080:80"}, Args: []string{"sh", "-c", "test $0 = false || sleep 1000", map[bool]string{true: "true", false: "false"}[detach]}})
	}
	for range 2 {
		if result, out := publish(r, false); result.ExitCode != 0 {
			s.Errorf("exit code %d\n%s", result.ExitCode, out)
		}
	}
	publish(r, true)
	if result, out := publish(r, false); result.ExitCode != 125 || !strings.Contains(out, "port is already allocated") {
		s.Errorf("the same port: exit code %d\n%s", result.ExitCode, out)
	}
	other := s.open(nil)
	other.pull()
	if result, out := publish(other, false); result.ExitCode != 0 {
		s.Errorf("the same port in another run: exit code %d\n%s", result.ExitCode, out)
	}
}

func (s *suite) testCommandFewOptions() {
	r := s.open(nil)
	r.pull()
	for name, test := range map[string]struct {
		options engine.Options
		script  string
		want    string
	}{
		"hostname":      {engine.Options{Hostname: "named"}, "hostname; cat /etc/hostname; grep -c named /etc/hosts", "named\nnamed\n1\n"},
		"read-only":     {engine.Options{ReadOnly: true}, "touch /x 2>&1; touch /workspace/x && echo workspace", "touch: /x: Read-only file system\nworkspace\n"},
		"tmpfs":         {engine.Options{Tmpfs: []string{"/t", "/u:size=1m,exec"}}, `awk '$2 == "/t" || $2 == "/u" {print $1, $4 ~ /noexec/, $4 ~ /size=1024k/}' /proc/mounts | sort`, "tmpfs 0 1\ntmpfs 1 0\n"},
		"shm size":      {engine.Options{ShmSize: 3 << 20}, "df -k /dev/shm | tail -1 | awk '{print $2}'", "3072\n"},
		"ulimit":        {engine.Options{Ulimits: []string{"nofile=77:88"}}, "ulimit -Sn; ulimit -Hn", "77\n88\n"},
		"groups":        {engine.Options{Groups: []string{"1234"}}, "id -G | grep -o 1234", "1234\n"},
		"no privileges": {engine.Options{NoNewPrivileges: true}, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"},
		"privileges":    {engine.Options{}, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n"},
		"processes L":   {engine.Options{Pids: 5}, "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done 2>/dev/null; echo all started", ""},
		"processors L":  {engine.Options{CPUSet: "0"}, "grep Cpus_allowed_list /proc/self/status", "Cpus_allowed_list:\t0\n"},
	} {
		if strings.HasSuffix(name, " L") && !s.limits() {
			continue
		}
		result, out := r.command(engine.Command{Args: []string{"sh", "-c", test.script}, Options: test.options})
		if test.want == "" && strings.Contains(out, "all started") || test.want != "" && (result.ExitCode != 0 || out != test.want) {
			s.Errorf("%s: exit code %d, printed %q, want %q", name, result.ExitCode, out, test.want)
		}
	}
	for _, bad := range []engine.Options{{Ulimits: []string{"nosuch=1"}}, {Tmpfs: []string{"relative"}}, {Tmpfs: []string{"/t:rbind"}}, {Tmpfs: []string{"/t:size=1m,rshared-x"}}, {CapAdd: []string{"NO_SUCH"}}, {CapDrop: []string{"NO_SUCH"}}} {
		if result, out := r.command(engine.Command{Args: []string{"true"}, Options: bad}); result.ExitCode != 125 || out == "" {
			s.Errorf("%+v: exit code %d, %q", bad, result.ExitCode, out)
		}
	}
}

func (s *suite) testCommandCapabilities() {
	r := s.open(nil)
	r.pull()
	for _, test := range []struct {
		add, drop []string
		want      string
	}{
		{nil, []string{"ALL"}, "0000000000000000"},
		{[]string{"chown"}, []string{"all"}, "0000000000000001"},
		{[]string{"CAP_NET_ADMIN"}, nil, "00000000a80435fb"},
		{[]string{"CHOWN"}, []string{"CAP_KILL"}, "00000000a80425db"},
	} {
		_, out := r.command(engine.Command{Args: []string{"grep", "CapEff", "/proc/self/status"}, Options: engine.Options{CapAdd: test.add, CapDrop: test.drop}})
		if out != "CapEff:\t"+test.want+"\n" {
			s.Errorf("with %v and without %v: %q, want %s", test.add, test.drop, out, test.want)
		}
	}
}

// Volumes by name are made with what the image has there, are written to by all who mount
// them, and are the run's own.
func (s *suite) testCommandNamedVolumes() {
	r := s.open(nil)
	r.pull()
	at := func(path string, readOnly bool, script string) (engine.CommandResult, string) {
		return r.command(engine.Command{Mounts: []engine.Mount{{Volume: "data", Path: path, ReadOnly: readOnly}}, Args: []string{"sh", "-c", script}})
	}
	if result, out := at("/etc", false, "echo new > /etc/new; test -f /etc/passwd"); result.ExitCode != 0 {
		s.Errorf("the volume lacks what the image has: %q", out)
	}
	if result, out := at("/else/where", true, "cat /else/where/new; test -f /else/where/passwd; (echo x > /else/where/x) 2> /dev/null"); result.ExitCode == 0 || out != "new\n" {
		s.Errorf("read-only: exit code %d, %q", result.ExitCode, out)
	}
	if result, out := r.command(engine.Command{Mounts: []engine.Mount{{Volume: "data", Path: "/bin/busybox"}}, Args: []string{"true"}}); result.ExitCode == 0 {
		s.Errorf("a volume in place of a program works: %q", out)
	}
	again := engine.Command{Args: []string{"cat", "/again/file", "/house/file"},
		Mounts: []engine.Mount{{Volume: engine.WorkspaceVolume, Path: "/again"}, {Volume: engine.HomeVolume, Path: "/house"}}}
	r.shell("echo work > /workspace/file; echo home > /acb/home/file")
	if _, out := r.command(again); out != "work\nhome\n" {
		s.Errorf("workspace and home at other places: %q", out)
	}
	other := s.open(nil)
	other.pull()
	if _, out := other.command(engine.Command{Mounts: []engine.Mount{{Volume: "data", Path: "/d"}}, Args: []string{"ls", "/d"}}); out != "" {
		s.Errorf("another run sees the volume: %q", out)
	}
}

func (s *suite) testCommandAliases() {
	r := s.open(nil)
	r.pull()
	if err := r.CreateNetwork(s.Context(), engine.Network{Name: "net"}); err != nil {
		s.Fatal(err)
	}
	r.command(engine.Command{Name: "server", Aliases: []string{"other"}, Network: "net", Detach: true, Args: []string{"nc", "-ll", "-p", "80", "-e", "echo", "hello"}})
	for _, name := range []string{"server", "other"} {
		if _, out := r.command(engine.Command{Network: "net", Args: retrying("nc -w 1 " + name + " 80 | grep .")}); out != "hello\n" {
			s.Errorf("%s: %q", name, out)
		}
	}
}

func (s *suite) testCommandNoPull() {
	r := s.open(nil)
	if result, out := r.command(engine.Command{Args: []string{"true"}, NoPull: true}); result.ExitCode != 125 || !strings.Contains(out, "No such image") {
		s.Errorf("exit code %d, %q", result.ExitCode, out)
	}
	r.pull()
	if result, out := r.command(engine.Command{Args: []string{"true"}, NoPull: true}); result.ExitCode != 0 {
		s.Errorf("an image that is there: exit code %d, %q", result.ExitCode, out)
	}
}

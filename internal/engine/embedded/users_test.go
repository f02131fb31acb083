//go:build linux && cgo

package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// run runs a step and returns what it printed.
func (b *builds) run(c engine.Command) string {
	b.t.Helper()
	var out bytes.Buffer
	result, err := b.Command(b.t.Context(), c, &out)
	if err != nil || result.ExitCode != 0 {
		b.t.Fatalf("exit code %d, error %v\n%s", result.ExitCode, err, out.String())
	}
	return out.String()
}

func sh(image, script string) engine.Command {
	return engine.Command{Image: image, Args: []string{"sh", "-c", script}}
}

// firstID reads the ID of the machine that root has, out of a map of IDs.
func firstID(t *testing.T, text string) (first int) {
	t.Helper()
	for line := range strings.Lines(text) {
		var inside, size int
		if n, _ := fmt.Sscanf(line, "%d %d %d", &inside, &first, &size); n == 3 && inside == 0 && size == 65536 {
			return first
		}
	}
	t.Fatalf("no IDs in %q", text)
	return 0
}

// Root of a container is nobody on the machine, and a different nobody in every run. What
// it makes belongs to root on disk.
func TestRootIsNobodyOnTheMachine(t *testing.T) {
	f := enginetest.NewFixtures(t)
	e := openIn(t, t.TempDir())
	seen := map[int]string{0: "the machine's root"}
	for _, id := range []string{"one", "two"} {
		b := openBuilds(t, e, id, nil)
		step := firstID(t, b.run(sh(f.Base, "cat /proc/self/uid_map")))
		_, out := b.build("FROM "+f.Base+"\nRUN cat /proc/self/uid_map\n", engine.Build{NoCache: true})
		if run := firstID(t, out); seen[step] != "" || seen[run] != "" || step == run {
			t.Errorf("run %s: root is %d in a step and %d in a RUN; taken are %v", id, step, run, seen)
		}
		seen[step] = "a step of " + id // a RUN's are free again
		b.run(sh(f.Base, "cd /workspace && mkdir d && touch d/root && chown 1000:1000 d && touch d/user && chown 1000:1000 d/user; chmod 4755 d/root"))
		for name, owner := range map[string]uint32{"d": 1000, "d/root": 0, "d/user": 1000} {
			info, err := os.Stat(filepath.Join(b.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if is := info.Sys().(*syscall.Stat_t).Uid; is != owner {
				t.Errorf("%s belongs to %d on the machine, want %d", name, is, owner)
			}
		}
	}
}

// What docker's users rely on works as it does without IDs of one's own.
func TestUsersOfContainers(t *testing.T) {
	f := enginetest.NewFixtures(t)
	b := openBuilds(t, openIn(t, t.TempDir()), "users", nil)
	const dockerfile = `
RUN echo ada:x:1000:1000::/:/bin/sh >> /etc/passwd && mkdir /made && touch /made/a && chown ada /made/a && chown 65534:65534 /made
RUN --mount=type=secret,id=one [ "$(stat -c %a:%u:%g /run/secrets/one)" = 400:0:0 ] && cat /run/secrets/one > /made/secret
RUN --mount=type=cache,from=seeds,source=/seed,target=/cache ls -ln /cache && touch /cache/b
RUN --mount=type=bind,from=seeds,source=/seed,target=/seed,ro ! touch /seed/x && stat -c %u /seed/owned > /made/seed
RUN --mount=type=tmpfs,target=/fast touch /fast/x
WORKDIR /deep/er
USER ada
RUN --mount=type=secret,id=one,uid=1000,gid=1000 grep -q hidden /run/secrets/one
RUN touch /dev/shm/who && [ "$(stat -c %u /dev/shm/who)" = 1000 ]
RUN --network=none ! wget -q -T 1 -O - http://169.254.169.253/
`
	file := "FROM " + f.Base + " AS seeds\nRUN mkdir /seed && touch /seed/owned && chown 7:7 /seed/owned\nFROM " + f.Base + dockerfile
	result, out := b.build(file, engine.Build{Tags: []string{"users"}, Secrets: map[string][]byte{"one": []byte("hidden")}})
	if !result.OK {
		t.Fatalf("the build failed:\n%s", out)
	}
	b.run(sh(f.Base, "ping -c 1 127.0.0.1"))
	want := "/made 65534\n/made/a 1000\n/made/seed 0\n/deep/er 0\n/made/secret 0\n"
	command := sh("users", "stat -c '%n %u' /made /made/a /made/seed /deep/er /made/secret")
	command.User = "0"
	if got := b.run(command); got != want {
		t.Errorf("owners are\n%swant\n%s", got, want)
	}
	for _, script := range []string{
		// A low port. A listener without input closes at once, and who reads that before its own input
		// sends nothing: so the listener takes one connection after the other.
		"(while :; do nc -l -p 80 >> /dev/shm/got; done &); for i in $(seq 100); do echo hi | nc 127.0.0.1 80;" +
			" grep hi /dev/shm/got && exit; sleep 0.1; done; exit 1",
		"ls /sys/class/net/eth0",
		"! touch /made/mine",
	} {
		b.run(sh("users", script))
	}
}

// All containers of a run together have what the run may have, and no more.
func TestRunsAreBounded(t *testing.T) {
	needRoot(t)
	e, err := Open(t.Context(), Options{Root: t.TempDir(), Dialer: loopback(), RunBounds: Bounds{Processes: 20, Memory: 96 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	base := enginetest.NewFixtures(t).Base
	b := openBuilds(t, e, "bounded", nil)
	var out bytes.Buffer
	forks := sh(base, "for i in $(seq 30); do sleep 3 & done 2>&1; wait")
	forks.Detach, forks.Name = true, "one"
	b.run(forks)
	if _, err := b.Command(t.Context(), sh(base, "for i in $(seq 30); do sleep 1 & done; wait"), &out); err != nil {
		t.Fatal(err)
	}
	// Where the container itself can't be started for that reason, the bound held as well.
	if !strings.Contains(out.String(), "Resource temporarily unavailable") && !strings.Contains(out.String(), "can't fork") {
		t.Errorf("30 processes and 30 more fit where 20 may be:\n%s", out.String())
	}
	greedy := sh(base, "head -c 300m /dev/zero > /dev/shm/x")
	greedy.Memory, greedy.Options.ShmSize, greedy.Options.Pids = 900<<30, 1<<30, 1000000
	out.Reset()
	if result, err := b.Command(t.Context(), greedy, &out); err != nil || result.ExitCode == 0 {
		t.Errorf("300 MB fit where 96 may be: %+v, %v\n%s", result, err, out.String())
	}
	tight := sh(base, "true")
	tight.Memory = 1 << 20 // less than what starts a container takes
	out.Reset()
	if result, err := b.Command(t.Context(), tight, &out); err != nil || result.ExitCode != 125 || !strings.Contains(out.String(), "memory limit") {
		t.Errorf("a limit that is too low: %+v, %v\n%s", result, err, out.String())
	}
	if result, out := b.build("FROM "+base+"\nRUN for i in $(seq 40); do sleep 1 & done; wait\n", engine.Build{}); result.OK && !strings.Contains(out, "fork") {
		t.Errorf("a RUN may start 40 processes where 20 may be:\n%s", out)
	}
}

// A run that fills the disk is ended, and says why; one beside it goes on.
func TestDiskIsKept(t *testing.T) {
	needRoot(t)
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=256m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	e, err := Open(t.Context(), Options{Root: filepath.Join(disk, "engine"), Dialer: loopback(), DiskReserve: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	base := enginetest.NewFixtures(t).Base
	modest := openBuilds(t, e, "modest", nil)
	waits := make(chan error, 1)
	go func() {
		_, err := modest.Command(t.Context(), sh(base, "while [ ! -e /workspace/go ]; do sleep 0.1; done"), io.Discard)
		waits <- err
	}()
	for id, fill := range map[string]func(b *builds) error{
		"step": func(b *builds) error {
			_, err := b.Command(t.Context(), sh(base, "head -c 200m /dev/zero > /large; sleep 60"), io.Discard)
			return err
		},
		"run": func(b *builds) error {
			file := filepath.Join(b.dir, "Dockerfile")
			if err := os.WriteFile(file, []byte("FROM "+base+"\nRUN head -c 200m /dev/zero > /large; sleep 60\n"), 0o644); err != nil {
				return err
			}
			_, err := b.Build(t.Context(), engine.Build{ContextDir: b.dir, Dockerfile: file}, io.Discard)
			return err
		},
	} {
		greedy := openBuilds(t, e, id, nil)
		err := fill(greedy)
		var failure engine.Failure
		if !errors.As(err, &failure) || !strings.Contains(failure.Error(), "disk of the agent is nearly full") {
			t.Errorf("a %s that fills the disk ends with %v", id, err)
		}
		if err := greedy.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(filepath.Join(modest.dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Errorf("the run beside it ended with %v", err)
	}
}

package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// execute runs the steps of a task file with a fake, in an empty workspace unless
// files are given (-> makes a link), and returns the outcome and the log without stamps.
func execute(t *testing.T, ctx context.Context, fake *enginetest.Fake, steps string, files map[string]string) (engine.Outcome, string, error) {
	t.Helper()
	plan, err := taskfile.Render(ctx, taskfile.Input{
		Name: "decoded", File: []byte("version: v1.1.0\n" + steps),
		Run: taskfile.Run{ID: "cf10", Registry: "r.azurecr.io", RegistryName: "r", SharedVolume: "vol", OS: "linux"},
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"workspace", "home", "scratch"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		path := filepath.Join(dir, "workspace", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	scope, err := fake.Open(ctx, engine.RunSpec{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	run := &engine.Run{
		Plan: plan, Scope: scope, Log: engine.NewLog(&log, secret.NewMask()),
		Workspace: filepath.Join(dir, "workspace"), Home: filepath.Join(dir, "home"), Scratch: filepath.Join(dir, "scratch"),
	}
	outcome, err := run.Execute(ctx)
	_, text, _ := strings.Cut(log.String(), "Docker configuration\n")
	var lines []string
	for line := range strings.Lines(text) {
		if len(line) > 20 && line[4] == '/' && line[7] == '/' {
			line = line[20:]
		}
		lines = append(lines, line)
	}
	return outcome, strings.Join(lines, ""), err
}

// exits makes a container end with these codes, one after the other, each after d;
// with -1 it does not end.
func exits(d time.Duration, text string, codes ...int) func(context.Context, engine.Command, io.Writer) (engine.CommandResult, error) {
	next := 0
	return func(ctx context.Context, _ engine.Command, out io.Writer) (engine.CommandResult, error) {
		takes := d
		if codes[min(next, len(codes)-1)] < 0 {
			takes = 1000 * time.Hour
		}
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return engine.CommandResult{ExitCode: 137}, nil // as a killed container does
		}
		fmt.Fprintln(out, text)
		code := codes[min(next, len(codes)-1)]
		next++
		return engine.CommandResult{ExitCode: code}, nil
	}
}

func TestAttempts(t *testing.T) {
	tests := []struct {
		name  string
		step  string
		codes []int
		took  time.Duration // of the run; each attempt takes a second
		want  string        // last line of the log
		calls int
	}{
		{"succeeds", "", []int{0}, time.Second, "", 1},
		{"retries until it succeeds", "retries: 3", []int{1, 1, 0}, 13 * time.Second, "", 3},
		{"own delay", "retries: 1, retryDelay: 2", []int{1}, 4 * time.Second, "exit status 1", 2},
		{"retries on a text", "retries: 1, retryOnErrors: [said]", []int{1, 0}, 7 * time.Second, "", 2},
		{"not on others", "retries: 1, retryOnErrors: [other]", []int{1, 0}, time.Second, "exit status 1", 1},
		{"repeats", "repeat: 2", []int{0, 3, 0}, 3 * time.Second, "exit status 3", 3},
		{"times out", "timeout: 6, retries: 9, retryDelay: 1", []int{1, 1, -1}, 6 * time.Second, "timed out", 3},
		{"times out and does not repeat", "timeout: 6, repeat: 9", []int{1, -1}, 6 * time.Second, "exit status 1, timed out", 2},
		{"starts later", "startDelay: 60, timeout: 2", []int{0}, 61 * time.Second, "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &enginetest.Fake{OnCommand: exits(time.Second, "it said so", tt.codes...)}
				step := strings.TrimSuffix("steps: [{id: a, cmd: x y, "+tt.step, ", ") + "}]\n"
				began := time.Now()
				outcome, log, err := execute(t, t.Context(), fake, step, nil)
				if err != nil || outcome.OK != (tt.want == "") {
					t.Errorf("%+v, %v", outcome, err)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if tt.want != "" && !strings.HasSuffix(log, "failed to run step ID: a: "+tt.want+"\n") {
					t.Errorf("log:\n%s", log)
				}
				if calls := len(fake.Scopes()[0].Commands()); calls != tt.calls {
					t.Errorf("%d calls, want %d", calls, tt.calls)
				}
			})
		})
	}
}

func TestGraph(t *testing.T) {
	const steps = `steps:
  - {id: a, cmd: x, when: ["-"]}
  - {id: b, cmd: x, when: ["-"]}
  - {id: c, cmd: x, when: [a, b]}
  - {id: d, cmd: x, when: [a]}
  - {id: e, cmd: x, when: [c, d]}
`
	synctest.Test(t, func(t *testing.T) {
		times := map[string]time.Duration{"a": 1, "b": 4, "c": 1, "d": 1, "e": 1}
		began, started := time.Now(), map[string]time.Duration{}
		lock := make(chan struct{}, 1)
		fake := &enginetest.Fake{OnCommand: func(_ context.Context, command engine.Command, _ io.Writer) (engine.CommandResult, error) {
			lock <- struct{}{}
			started[command.Name] = time.Since(began) / time.Second
			<-lock
			time.Sleep(times[command.Name] * time.Second)
			return engine.CommandResult{}, nil
		}}
		if outcome, log, err := execute(t, t.Context(), fake, steps, nil); err != nil || !outcome.OK {
			t.Errorf("%v\n%s", err, log)
		}
		want := map[string]time.Duration{"a": 0, "b": 0, "c": 4, "d": 1, "e": 5}
		if d := cmp.Diff(want, started); d != "" {
			t.Error(d)
		}
	})
}

func TestFailureEndsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &enginetest.Fake{OnCommand: func(ctx context.Context, command engine.Command, _ io.Writer) (engine.CommandResult, error) {
			if command.Name == "bad" {
				time.Sleep(time.Second)
				return engine.CommandResult{ExitCode: 5}, nil
			}
			return engine.CommandResult{}, enginetest.Wait(ctx)
		}}
		steps := "steps:\n  - {id: slow, cmd: x, when: ['-']}\n  - {id: bad, cmd: x, when: ['-']}\n  - {id: never, cmd: x}\n"
		outcome, log, err := execute(t, t.Context(), fake, steps, nil)
		if err != nil || outcome.OK || !strings.HasSuffix(log, "failed to run step ID: bad: exit status 5\n") {
			t.Errorf("%+v, %v\n%s", outcome, err, log)
		}
		if calls := fake.Scopes()[0].Commands(); len(calls) != 2 {
			t.Errorf("calls %+v", calls)
		}
	})
}

func TestCauseOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("a user said so")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		fake := &enginetest.Fake{OnCommand: exits(time.Hour, "", 0)}
		if _, log, err := execute(t, ctx, fake, "steps: [{cmd: x, retries: 3}]\n", nil); !errors.Is(err, cause) || strings.Contains(log, "retrying") {
			t.Errorf("got %v\n%s", err, log)
		}
	})
}

func TestWhatIsNotSupportedFailsByName(t *testing.T) {
	tests := []struct{ step, want string }{
		{"build: -t a . && b", "&& outside of quotes"}, {`build: "-t a --label l=$(date) ."`, "$(…)"}, {"cmd: bash 'a", "not valid for a shell"},
		{"cmd: --device /dev/kvm bash", "the option --device of docker run"}, {"cmd: --pid host x", "--pid"}, {"cmd: -v /:/host x", "--volume /:/host"},
		{"cmd: -v ../x:/host x", "--volume ../x:/host"}, {"cmd: -v v:relative x", "absolute path"}, {"cmd: -v v:/v:rshared x", `mode "rshared"`},
		{"cmd: --mount type=bind,source=/,target=/host x", "may be volume or tmpfs"}, {"cmd: --mount source=v,target=/v,volume-driver=x x", `unexpected key "volume-driver"`},
		{"cmd: --platform linux/s390x x", "--platform linux/s390x"}, {"cmd: --restart always x", "--restart always"}, {"cmd: --security-opt seccomp=unconfined x", "--security-opt seccomp=unconfined"},
		{"cmd: --env-file nowhere x", "--env-file: open nowhere: no such file"}, {"cmd: --pull sometimes x", "invalid pull option"},
		{"cmd: --no-such x", "unknown flag: --no-such"}, {"cmd: buildx ls", "cmd: buildx ls is not supported"}, {`cmd: "-t"`, "names no image"},
		{"cmd: -m lots x", "--memory"}, {"{cmd: x, isolation: hyperv}", "isolation"}, {"{cmd: x, cpus: many}", "--cpus"},
		{"build: --squash .", "--squash"}, {"build: --push .", "--push"}, {"build: -t a -", "standard input"}, {"build: . .", "requires exactly 1 argument"},
		{"build: -t a -f Dockerfile nowhere", `unable to prepare context: path "nowhere" not found`},
		{"build: --cache-to type=local,dest=x .", "--cache-to type=local,dest=x"}, {"build: --cache-from type=inline .", "--cache-from type=inline"},
		{"build: --cache-from type=registry,ref=a,mode=max .", `unexpected key "mode"`}, {"build: --cache-to type=registry .", "needs ref="},
		{"build: --ssh default .", "--ssh default"}, {"build: --ssh default=/no/key .", "could not read the key default"}, {"build: --provenance=true .", "attestations"},
		{"build: --build-context a=https://x/y.git .", "--build-context a=https://x/y.git"}, {"build: --build-context a=nowhere .", "no such directory"},
		{"build: --shm-size lots .", "--shm-size"}, {"{id: a/b, cmd: x}", "invalid container name"},
	}
	for _, tt := range tests {
		t.Run(tt.step, func(t *testing.T) {
			fake := new(enginetest.Fake)
			outcome, log, err := execute(t, t.Context(), fake, "steps:\n  - "+tt.step+"\n", map[string]string{"Dockerfile": "FROM scratch\n"})
			if err != nil || outcome.OK || !strings.Contains(log, tt.want) {
				t.Errorf("%+v, %v; want %q in\n%s", outcome, err, tt.want, log)
			}
			if scope := fake.Scopes()[0]; len(scope.Commands())+len(scope.Builds()) > 0 {
				t.Errorf("ran %v", scope.Calls())
			}
		})
	}
}

// What acts on the agent goes to a shell in docker's client, as it is written.
func TestOperators(t *testing.T) {
	for text, calls := range map[string]string{
		"img echo a | tr a b": "pull img, command acb_shell_s", "img a && b": "pull img, command acb_shell_s", "-m 9m img a; b": "pull img, command acb_shell_s",
		"img a > f": "pull img, command acb_shell_s", "img a &": "pull img, command acb_shell_s", "img 'a  a'\nc": "pull img, command acb_shell_s",
		"img $(date)": "command acb_shell_s", "img `date`": "command acb_shell_s", "--no-such img && b": "command acb_shell_s",
	} {
		t.Run(text, func(t *testing.T) {
			fake := new(enginetest.Fake)
			outcome, log, err := execute(t, t.Context(), fake, fmt.Sprintf("steps: [{id: s, cmd: %q, pull: true}]\n", text), nil)
			if err != nil || !outcome.OK {
				t.Fatalf("%+v, %v\n%s", outcome, err, log)
			}
			scope := fake.Scopes()[0]
			if got := strings.Join(scope.Calls(), ", "); got != "network acb_default_network, "+calls {
				t.Fatalf("asked for %s", got)
			}
			got := scope.Commands()[0]
			if len(got.Args) != 2 || got.Args[0] != "-c" || !strings.HasPrefix(got.Args[1], "docker run --rm --network ") || !strings.HasSuffix(got.Args[1], " "+text) {
				t.Errorf("the shell got %q", got.Args)
			}
			got.Args = nil
			want := engine.Command{Name: "acb_shell_s", Image: "docker", Entrypoint: []string{"sh"}, Env: []string{"HOME=/acb/home"}, Network: taskfile.DefaultNetwork}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOperatorsFail(t *testing.T) {
	t.Run("no shell", func(t *testing.T) {
		fake := &enginetest.Fake{OnCommand: func(_ context.Context, _ engine.Command, out io.Writer) (engine.CommandResult, error) {
			fmt.Fprintln(out, "docker: no")
			return engine.CommandResult{ExitCode: 125}, nil
		}}
		outcome, log, err := execute(t, t.Context(), fake, "steps: [{cmd: img a && b}]\n", nil)
		if err != nil || outcome.OK || !strings.Contains(log, "hint: && outside of quotes acts on the agent") {
			t.Errorf("%+v, %v\n%s", outcome, err, log)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		fake := new(enginetest.Fake)
		fake.OnCommand = func(ctx context.Context, command engine.Command, out io.Writer) (engine.CommandResult, error) {
			if command.Name == "acb_shell_s" {
				<-ctx.Done()
			}
			return engine.CommandResult{}, context.Cause(ctx)
		}
		outcome, log, err := execute(t, t.Context(), fake, "steps: [{id: s, cmd: img a && b, timeout: 1}]\n", nil)
		if err != nil || outcome.OK || !strings.Contains(log, "failed to run step ID: s: timed out") {
			t.Errorf("%+v, %v\n%s", outcome, err, log)
		}
		commands := fake.Scopes()[0].Commands()
		if len(commands) != 2 || commands[1].Image != "docker" || !slices.Equal(commands[1].Args, []string{"rm", "--force", "s"}) {
			t.Errorf("ran %+v: the step's container goes on", commands)
		}
	})
}

func TestCommandLine(t *testing.T) {
	fake := new(enginetest.Fake)
	steps := `env: ["E='x y'", "F=$UNSET"]
volumes: [{name: v, secret: {f: YQ==}}]
steps:
  - {id: a, cmd: "-t --memory 256m -e MODE=fast --add-host h:1.2.3.4 img 'two words' $HOME \"$NONE\" x$NONE", cpus: 1.5, ports: ["80:80"], user: "1:2", privileged: true, keep: true, volumeMounts: [{name: v, mountPath: /s}], network: host, expose: [90]}
  - {id: b, cmd: img, entryPoint: /bin/sh, detach: true, disableWorkingDirectoryOverride: true}
  - {id: c, network: host, cmd: "--init --read-only -h name --cap-drop ALL --cap-add CHOWN --group-add 7 --ulimit nofile=9 --shm-size 1m --tmpfs /t --memory-swap -1 --memory-reservation 2m -c 3 --cpuset-cpus 0 --pids-limit 5 --security-opt no-new-privileges --network-alias other --env-file vars --pull never -v vol:/again:ro -v data:/data -v /anonymous --mount type=tmpfs,target=/u,tmpfs-size=9 --mount src=data,dst=/more,readonly -v home:/h --quiet img"}
`
	vars := map[string]string{"vars": "# no\n\n E=from the file\r\nG=1=2\nUNSET\n"}
	if outcome, log, err := execute(t, t.Context(), fake, steps, vars); err != nil || !outcome.OK {
		t.Fatalf("%v\n%s", err, log)
	}
	want := []engine.Command{{
		Name: "a", Image: "img", Args: []string{"two words", "/acb/home", "", "x"}, Env: []string{"HOME=/acb/home", "E=x y", "F=", "MODE=fast"},
		WorkingDir: "/workspace", User: "1:2", Network: "host", Mounts: []engine.Mount{{Volume: "v", Path: "/s"}}, Privileged: true, Keep: true,
		TTY: true, CPUs: 1.5, Memory: 256 << 20, Ports: []string{"80:80"}, Expose: []string{"90"}, Hosts: []string{"h:1.2.3.4"},
	}, {
		Name: "b", Image: "img", Args: []string{}, Entrypoint: []string{"/bin/sh"}, Env: []string{"HOME=/acb/home", "E=x y", "F="},
		Network: taskfile.DefaultNetwork, Detach: true,
	}, {
		Name: "c", Image: "img", Args: []string{}, Env: []string{"E=from the file", "G=1=2", "HOME=/acb/home", "E=x y", "F="},
		WorkingDir: "/workspace", Network: "host", Aliases: []string{"other"}, NoPull: true,
		Mounts: []engine.Mount{{Volume: engine.WorkspaceVolume, Path: "/again", ReadOnly: true}, {Volume: "data", Path: "/data"},
			{Volume: engine.HomeVolume, Path: "/h"}, {Volume: "data", Path: "/more", ReadOnly: true}},
		Options: engine.Options{
			Hostname: "name", Init: true, ReadOnly: true, NoNewPrivileges: true, Tmpfs: []string{"/t", "/u:size=9"}, ShmSize: 1 << 20,
			Ulimits: []string{"nofile=9"}, CapAdd: []string{"CHOWN"}, CapDrop: []string{"ALL"}, Groups: []string{"7"},
			CPUSet: "0", CPUShares: 3, Pids: 5, Reservation: 2 << 20, Swap: -1,
		},
	}}
	if d := cmp.Diff(want, fake.Scopes()[0].Commands()); d != "" {
		t.Error(d)
	}
}

func TestBuildLine(t *testing.T) {
	fake := new(enginetest.Fake)
	steps := `volumes: [{name: v, secret: {tok: YQ==}}]
env: ["FROM_ENV=1", "DOCKER_BUILDKIT=1"]
steps:
  - id: a
    build: -t a:1 --tag=a:2 --build-arg X=1 --build-arg FROM_ENV=1 --build-arg=Y='two words' --label l=1 --target t --platform linux/arm64 --no-cache --pull --add-host h:1.2.3.4 --network none --secret id=tok,src=/run/s/tok --secret id=e,env=FROM_ENV --ssh k=/run/s/tok --cache-from a:0 --cache-to type=registry,ref=c,mode=max --build-context up=. --build-context i=docker-image://x --shm-size 1m --ulimit nofile=9 -f Dockerfile .
    volumeMounts: [{name: v, mountPath: /run/s}]
`
	if outcome, log, err := execute(t, t.Context(), fake, steps, map[string]string{"Dockerfile": "FROM scratch\n"}); err != nil || !outcome.OK {
		t.Fatalf("%v\n%s", err, log)
	}
	got := fake.Scopes()[0].Builds()[0]
	got.Dockerfile, got.ContextDir = filepath.Base(got.Dockerfile), filepath.Base(got.ContextDir)
	if got.Mask == nil {
		t.Error("the build does not know what to hide")
	}
	got.Mask = nil
	got.Contexts["up"] = filepath.Base(got.Contexts["up"])
	want := engine.Build{
		ContextDir: "workspace", Dockerfile: "Dockerfile", Tags: []string{"a:1", "a:2"}, Args: map[string]string{"X": "1", "FROM_ENV": "1", "Y": "two words"},
		Labels: map[string]string{"l": "1"}, Target: "t", Platform: "linux/arm64", NoCache: true, Pull: true, AddHosts: []string{"h:1.2.3.4"},
		Network: "none", Secrets: map[string][]byte{"tok": []byte("a\n"), "e": []byte("1")}, BuildKit: true,
		Keys: map[string][]byte{"k": []byte("a\n")}, ShmSize: 1 << 20, Ulimits: []string{"nofile=9"},
		CacheFrom: []engine.Cache{{Kind: "registry", Options: map[string]string{"ref": "a:0"}}},
		CacheTo:   []engine.Cache{{Kind: "registry", Options: map[string]string{"ref": "c", "mode": "max"}}},
		Contexts:  map[string]string{"up": "workspace", "i": "docker-image://x"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The scan reads the Dockerfile that is built, with the arguments that are built with. What it
// cannot know is a note; the builder says what is wrong.
func TestScan(t *testing.T) {
	files := map[string]string{
		"my dir/Dockerfile.x": "ARG B\nFROM contoso/$B:1\nRUN <<E\nFROM customers c\nE\n",
		"my dir/Dockerfile":   "FROM contoso/beside:1\n",
		"Dockerfile":          "FROM contoso/$TARGETARCH:1\nCOPY --from=base /a /\n",
		"bad":                 "FROM a b c\n",
	}
	for _, test := range []struct{ name, step, want string }{
		{"a quoted file", `-f "my dir/Dockerfile.x" --build-arg B .`, "repository: contoso/from-env"},
		{"a quoted context", `--build-arg=B=other "my dir"`, "repository: contoso/beside"},
		{"the value of an option", `--label "see https://github.com/contoso/x.git" --platform=linux/arm64 .`, "repository: contoso/arm64"},
		{"a named context", `--build-context base=docker-image://contoso/up:1 .`, "repository: contoso/up"},
		{"what is no Dockerfile", `-f bad .`, "Output from dependency scanning: dependencies are not known: dockerfile parse error on line 1"},
	} {
		fake := new(enginetest.Fake)
		steps := "env: [\"B=from-env\"]\nsteps:\n  - build: >-\n      " + test.step + "\n"
		outcome, log, err := execute(t, t.Context(), fake, steps, files)
		if err != nil || !outcome.OK || !strings.Contains(log, test.want) {
			t.Errorf("%s: want %q, error %v\n%s", test.name, test.want, err, log)
		}
		if builds := fake.Scopes()[0].Builds(); len(builds) != 1 {
			t.Errorf("%s: the builder was asked %d times", test.name, len(builds))
		}
	}
}

func TestLinksDoNotLeaveTheWorkspace(t *testing.T) {
	for name, step := range map[string]string{
		"Dockerfile": "build: -t a -f link/passwd .", "context": "build: -t a -f Dockerfile link", "parent": "build: -t a -f Dockerfile ../..",
		"absolute": "build: -t a -f /etc/passwd .", "secret": "build: -t a --secret id=x,src=link/passwd .",
	} {
		t.Run(name, func(t *testing.T) {
			fake := new(enginetest.Fake)
			files := map[string]string{"Dockerfile": "FROM scratch\n", "link": "-> /etc"}
			outcome, log, err := execute(t, t.Context(), fake, "steps:\n  - "+step+"\n", files)
			if err != nil || outcome.OK || len(fake.Scopes()[0].Builds()) > 0 {
				t.Errorf("%+v, %v, built %+v\n%s", outcome, err, fake.Scopes()[0].Builds(), log)
			}
		})
	}
}

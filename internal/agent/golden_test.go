package agent

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/lease/leasetest"
)

// transcript is a run with its log, as it must be, line for line.
type transcript struct {
	task, status, log string
}

func readTranscript(t *testing.T, path string) transcript {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for _, file := range archive.Files {
		parts[file.Name] = string(file.Data)
	}
	return transcript{parts["task.yaml"], strings.TrimSpace(parts["status"]), parts["log"]}
}

var normalise = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `), "<T> "},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`(elapsed time in seconds: )\d+\.\d{6}\)`), "${1}<sec>)"},
	{regexp.MustCompile(`((successful|failed|canceled) after )[0-9hms]+`), "${1}<dur>"},
	{regexp.MustCompile(`(?m)^[0-9a-f]{64}$`), "<container>"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "<server>"},
}

func normal(t *testing.T, log, commit string) string {
	t.Helper()
	if strings.Contains(strings.ReplaceAll(log, "\r\n", ""), "\n") || !strings.HasSuffix(log, "\r\n") {
		t.Errorf("not all lines end in CR LF: %q", log)
	}
	log = strings.ReplaceAll(log, "\r\n", "\n")
	for _, rule := range normalise {
		log = rule.pattern.ReplaceAllString(log, rule.by)
	}
	if commit != "" {
		log = strings.ReplaceAll(log, commit, "<commit>")
	}
	return log
}

func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/log/*.txtar")
	if err != nil || len(paths) < 15 {
		t.Fatalf("%d transcripts, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := readTranscript(t, path)
			rig := newRig(t)
			job, commit := stage(t, rig, name, want.task)
			run := rig.leaser.Queue(job)
			rig.start()
			result := rig.result(run)
			got := normal(t, rig.leaser.Log(run), commit)
			if name == "09-parallel-failure" {
				got, want.log = sortSteps(got), sortSteps(want.log)
			}
			if d := cmp.Diff(want.log, got); d != "" {
				t.Errorf("log (-want +got):\n%s", d)
			}
			if string(result.Status) != want.status {
				t.Errorf("status %s, want %s", result.Status, want.status)
			}
			for _, scope := range rig.fake.Scopes() {
				if !scope.Closed() {
					t.Error("the scope was not closed")
				}
			}
		})
	}
}

// sortSteps sorts the lines whose order is not fixed: those of steps that start at
// the same time.
func sortSteps(log string) string {
	lines := strings.Split(log, "\n")
	first := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "Executing step") })
	last := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "No retries") })
	slices.Sort(lines[first:last])
	return strings.Join(lines, "\n")
}

const (
	twos   = "2222222222222222222222222222222222222222222222222222222222222222"
	pushed = "sha256:611cf6e3ae3cb99b23fadcd89fa144e18aa1b1c9171ad4a0da4b62b31b4e38d1"
	based  = "sha256:e8e92cffd464fce3be9a3eefd1b65dc9cbe2484da31c11e813a4effc6105c00f"
)

// stage sets the scene of a transcript: what is around the run, and what the
// containers do.
func stage(t *testing.T, rig *rig, name, task string) (job_ lease.Job, commit string) {
	scripted(rig)
	twoStages := "FROM golang:1.22 AS b\nFROM alpine:3.19\n"
	switch j := job(task); name[:2] {
	case "00":
		return tutorial(t, rig, task)
	case "01":
		address, commit := gitServer(t, map[string]string{"Dockerfile": twoStages, "acb.yaml": task})
		rig.fake.OnBuild = builds(engine.BaseImage{Reference: "golang:1.22", Digest: "sha256:" + twos}, engine.BaseImage{Reference: "docker.io/library/alpine:3.19", Digest: "sha256:" + twos})
		rig.fake.OnPush = pushes("sha256:" + twos)
		return withContext(t, j, address+"/web.git#main"), commit
	case "08":
		rig.own("bad.azurecr.io", registry{password: "other"})
		j.Logins = []lease.Login{{Registry: "bad.azurecr.io", Username: secret.New("u"), Password: secret.New("wrong")}}
		return j, ""
	case "11":
		address, commit := gitServer(t, map[string]string{"Dockerfile": twoStages, "acb.yaml": task})
		rig.fake.OnBuild = builds(engine.BaseImage{Reference: "golang:1.22", Digest: enginetest.Digest("4")}, engine.BaseImage{Reference: "alpine:3.19", Digest: enginetest.Digest("3")})
		return withContext(t, j, address+"/web.git#main"), commit
	case "12":
		address, _ := gitServer(t, map[string]string{"acb.yaml": task})
		return withContext(t, j, address+"/gone.git"), ""
	case "13":
		j.Timeout = 300 * time.Millisecond
		return j, ""
	case "14":
		address := tarServer(t, map[string]string{"Dockerfile": "FROM mcr.microsoft.com/hello-world\n"})
		j.Step = lease.Step{Kind: lease.Docker, Context: address + "/src.tar.gz",
			Build: lease.DockerBuild{Dockerfile: "Dockerfile", Images: []string{"sample/hello-world:v1"}, Push: true}}
		rig.fake.OnBuild = builds(engine.BaseImage{Reference: "mcr.microsoft.com/hello-world", Digest: enginetest.Digest("3")})
		rig.fake.OnPush = pushes("sha256:" + twos)
		return j, ""
	default:
		return j, ""
	}
}

// tutorial is the article's task: its second registry is reached with an identity.
func tutorial(t *testing.T, rig *rig, task string) (lease.Job, string) {
	address, commit := gitServer(t, map[string]string{
		"Dockerfile-app": "ARG REGISTRY_NAME\nFROM ${REGISTRY_NAME}/baseimages/node:15-alpine\nCOPY . /src\nRUN cd /src && npm install\nEXPOSE 80\nCMD [\"node\", \"/src/server.js\"]\n",
	})
	exchange := exchanges(t, "identity-token", "base-refresh")
	rig.own("mybaseregistry.azurecr.io", registry{password: "base-refresh", exchange: exchange})
	rig.leaser.OnToken = func(_ string, request lease.TokenRequest) (lease.AccessToken, error) {
		if request.Audience != registryclient.Audience || request.ClientID != "client-1" {
			return lease.AccessToken{}, fmt.Errorf("asked for %+v", request)
		}
		return leasetest.StaticToken("identity-token", "client-1"), nil
	}
	rig.fake.OnBuild = func(_ context.Context, build engine.Build, out io.Writer) (engine.BuildResult, error) {
		fmt.Fprint(out, "Sending build context to Docker daemon  25.6kB\nStep 1/6 : ARG REGISTRY_NAME\nStep 2/6 : FROM ${REGISTRY_NAME}/baseimages/node:15-alpine\n",
			"15-alpine: Pulling from baseimages/node\nSuccessfully built 41b49a112663\nSuccessfully tagged ", build.Tags[0], "\n")
		return engine.BuildResult{OK: true, Bases: []engine.BaseImage{{Reference: build.Args["REGISTRY_NAME"] + "/baseimages/node:15-alpine", Digest: based}}}, nil
	}
	rig.fake.OnPush = pushes(pushed)
	j := job(strings.Replace(task, "SERVER", address, 1))
	j.Identities = []lease.Identity{{ClientID: "client-1", PrincipalID: "principal-1", Name: "myACRTasksId"}}
	j.Logins = append(j.Logins, lease.Login{Registry: "mybaseregistry.azurecr.io", Identity: "client-1"})
	return j, commit
}

func builds(bases ...engine.BaseImage) func(context.Context, engine.Build, io.Writer) (engine.BuildResult, error) {
	return func(_ context.Context, _ engine.Build, out io.Writer) (engine.BuildResult, error) {
		fmt.Fprint(out, "Sending build context to Docker daemon  25.6kB\nSuccessfully built 41b49a112663\n")
		return engine.BuildResult{OK: true, Bases: bases}, nil
	}
}

func pushes(digest string) func(context.Context, string, io.Writer) (engine.PushResult, error) {
	return func(_ context.Context, image string, out io.Writer) (engine.PushResult, error) {
		repository, _, _ := strings.Cut(image, ":")
		fmt.Fprintf(out, "The push refers to repository [%s]\n", repository)
		if strings.HasSuffix(repository, "/badpush") {
			fmt.Fprintln(out, "denied: requested access to the resource is denied")
			return engine.PushResult{}, nil
		}
		return engine.PushResult{OK: true, Digest: digest}, nil
	}
}

// scripted makes containers do what the transcripts say: they print the last
// argument, and act on it if it says "exit N" or "sleep N".
func scripted(rig *rig) {
	var flaky atomic.Int32
	asleep := make(chan struct{}, 1)
	rig.fake.OnPush = pushes(enginetest.Digest("1"))
	rig.fake.OnCommand = func(ctx context.Context, command engine.Command, out io.Writer) (engine.CommandResult, error) {
		if command.Detach {
			return engine.CommandResult{ContainerID: "279b1cb6e092b64c8517c5506fcb45494cd5a0bd10a6beca3ba97f25c5d940cd"}, nil
		}
		text := command.Args[len(command.Args)-1]
		var code int
		switch {
		case strings.HasPrefix(text, "sleep"):
			asleep <- struct{}{}
			return engine.CommandResult{}, enginetest.Wait(ctx)
		case command.Name == "bad":
			<-asleep // so that the step beside it has begun
			text, code = "exit 5", 5
		case text == "flaky" && flaky.Add(1) == 1:
			text, code = "connection reset by peer", 1
		case strings.HasPrefix(text, "exit"):
			fmt.Sscanf(text, "exit %d", &code)
		}
		fmt.Fprintln(out, text)
		return engine.CommandResult{ExitCode: code}, nil
	}
}

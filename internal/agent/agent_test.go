package agent

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/lease/leasetest"
)

// sleeping makes every command run until it is stopped, and tells when it began.
func sleeping(rig *rig) <-chan struct{} {
	began := make(chan struct{}, 10)
	rig.fake.OnCommand = func(ctx context.Context, _ engine.Command, _ io.Writer) (engine.CommandResult, error) {
		began <- struct{}{}
		return engine.CommandResult{}, enginetest.Wait(ctx)
	}
	return began
}

func TestCancel(t *testing.T) {
	rig := newRig(t)
	began := sleeping(rig)
	run := rig.leaser.Queue(job(oneStep))
	rig.start()
	<-began
	rig.leaser.Cancel(run)
	if result := rig.result(run); result.Status != lease.Canceled {
		t.Errorf("status %s", result.Status)
	}
	log := rig.leaser.Log(run)
	if !strings.Contains(log, "\r\nRun ID: cf10 was canceled after ") || !rig.fake.Scopes()[0].Closed() {
		t.Errorf("scope closed: %v, log:\n%s", rig.fake.Scopes()[0].Closed(), log)
	}
	if dirs, err := os.ReadDir(filepath.Join(rig.root, "runs")); err != nil || len(dirs) > 0 {
		t.Errorf("left behind: %v, %v", dirs, err)
	}
}

func TestLostLease(t *testing.T) {
	rig := newRig(t)
	began := sleeping(rig)
	run := rig.leaser.Queue(job(oneStep))
	rig.start()
	<-began
	rig.leaser.Expire(run)
	other := job(oneStep)
	other.RunID = "cf11"
	next := rig.leaser.Queue(other) // the only slot is free again after the lost run
	<-began
	if log := rig.leaser.Log(run); strings.Contains(log, "Run ID:") || rig.leaser.Status(run) != "Error" {
		t.Errorf("a late agent wrote: %s\n%s", rig.leaser.Status(run), log)
	}
	rig.leaser.Cancel(next)
	rig.result(next)
}

func TestStoppedAgent(t *testing.T) {
	rig := newRig(t)
	began := sleeping(rig)
	run := rig.leaser.Queue(job(oneStep))
	ctx, cancel := context.WithCancelCause(t.Context())
	agent := New(Options{Leaser: rig.leaser, Executor: rig.fake, Dialer: rig.dialer, Root: rig.root})
	done := make(chan error, 1)
	go func() { done <- agent.Run(ctx) }()
	<-began
	cancel(errors.New("shutdown"))
	if err := <-done; err != nil {
		t.Error(err)
	}
	if result := rig.result(run); result.Status != lease.Error || result.Message != errStopped.Error() {
		t.Errorf("got %+v", result)
	}
}

func TestPanicEndsOneRun(t *testing.T) {
	rig := newRig(t)
	first := true
	rig.fake.OnPush = func(context.Context, string, io.Writer) (engine.PushResult, error) {
		if first {
			first = false
			panic("the disk is on fire")
		}
		return engine.PushResult{OK: true}, nil
	}
	task := "version: v1.1.0\nsteps:\n  - push: [\"$Registry/a\"]\n"
	broken, whole := rig.leaser.Queue(job(task)), job(task)
	whole.RunID = "cf11"
	next := rig.leaser.Queue(whole)
	rig.start()
	if result := rig.result(broken); result.Status != lease.Error || strings.Contains(rig.leaser.Log(broken), "fire") {
		t.Errorf("got %+v\n%s", result, rig.leaser.Log(broken))
	}
	if result := rig.result(next); result.Status != lease.Succeeded {
		t.Errorf("got %+v", result)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	rig := newRig(t)
	rig.fake.OnCommand = func(_ context.Context, command engine.Command, out io.Writer) (engine.CommandResult, error) {
		text := strings.Join(command.Args, " ") + " own-password " + basicAuth("own", "own-password") + "\n"
		for _, c := range text {
			fmt.Fprint(out, string(c)) // byte by byte
		}
		return engine.CommandResult{}, nil
	}
	j := job("version: v1.1.0\nsteps:\n  - cmd: bash echo {{.Values.pw}} {{.Values.plain}}\n")
	j.Step.Values = []lease.Value{{Name: "pw", Value: "hunter2", Secret: true}, {Name: "plain", Value: "visible"}}
	run := rig.leaser.Queue(j)
	rig.start()
	rig.result(run)
	if log := rig.leaser.Log(run); !strings.Contains(log, "\r\necho *** visible *** ***\r\n") {
		t.Errorf("log:\n%s", log)
	}
}

func TestStepStates(t *testing.T) {
	rig := newRig(t)
	run := rig.leaser.Queue(job(oneStep))
	rig.start()
	rig.result(run)
	if got := rig.leaser.Steps(run, "acb_step_0"); !slices.Equal(got[len(got)-1:], []string{engine.Successful}) {
		t.Errorf("states %v", got)
	}
}

func TestStepsAreLoggedIn(t *testing.T) {
	rig := newRig(t)
	var config []byte
	rig.fake.OnCommand = func(context.Context, engine.Command, io.Writer) (engine.CommandResult, error) {
		var err error
		config, err = os.ReadFile(filepath.Join(rig.fake.Scopes()[0].Spec.Home, ".docker", "config.json"))
		return engine.CommandResult{}, err
	}
	run := rig.leaser.Queue(job(oneStep))
	rig.start()
	rig.result(run)
	var got struct {
		HTTPHeaders map[string]string            `json:"HttpHeaders"`
		Auths       map[string]map[string]string `json:"auths"`
	}
	if err := json.Unmarshal(config, &got); err != nil {
		t.Fatal(err)
	}
	if got.Auths["myregistry.azurecr.io"]["auth"] != basicAuth("own", "own-password") || got.HTTPHeaders["X-Meta-Source-Client"] != userAgent {
		t.Errorf("got %s", config)
	}
}

func TestLeftoversAreRemoved(t *testing.T) {
	rig := newRig(t)
	old := filepath.Join(rig.root, "runs", "old", "workspace")
	if err := os.MkdirAll(old, 0o755); err != nil {
		t.Fatal(err)
	}
	run := rig.leaser.Queue(job(oneStep))
	rig.start()
	rig.result(run)
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

func TestTaskFileInContext(t *testing.T) {
	rig := newRig(t)
	address := tarServer(t, map[string]string{
		"acb.yaml":   "version: v1.1.0\nalias:\n  src: [names.yaml]\nsteps:\n  - cmd: bash echo $who {{.Values.a}}\n",
		"names.yaml": "who: me\n", "values.yaml": "a: b\n",
	})
	j := withContext(t, job(""), address+"/x.tar.gz")
	j.Step.ValuesPath = "values.yaml"
	run := rig.leaser.Queue(j)
	rig.start()
	rig.result(run)
	if commands := rig.fake.Scopes()[0].Commands(); len(commands) != 1 || strings.Join(commands[0].Args, " ") != "echo me b" {
		t.Errorf("commands %+v\n%s", commands, rig.leaser.Log(run))
	}
}

func TestVaultSecret(t *testing.T) {
	vault := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer vault-token" || r.URL.Path != "/secrets/pw/" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"value":"s3cret"}`)
	}))
	defer vault.Close()
	rig := newRig(t)
	rig.at("vault.example.com", vault.Listener.Addr().String(), vault.Certificate())
	rig.leaser.OnToken = func(_ string, request lease.TokenRequest) (lease.AccessToken, error) {
		if request.Audience != "https://example.com" {
			return lease.AccessToken{}, fmt.Errorf("audience %s", request.Audience)
		}
		return leasetest.StaticToken("vault-token", ""), nil
	}
	run := rig.leaser.Queue(job("version: v1.1.0\nsecrets:\n  - id: pw\n    keyvault: https://vault.example.com/secrets/pw\nsteps:\n  - cmd: bash echo {{.Secrets.pw}}\n"))
	rig.fake.OnCommand = func(_ context.Context, command engine.Command, out io.Writer) (engine.CommandResult, error) {
		fmt.Fprintln(out, command.Args[1])
		return engine.CommandResult{}, nil
	}
	rig.start()
	rig.result(run)
	if log := rig.leaser.Log(run); !strings.Contains(log, "\r\n***\r\n") {
		t.Errorf("log:\n%s", log)
	}
}

func TestHintOnlyWithoutLogin(t *testing.T) {
	r := &run{job: new(lease.Job), credentials: new(credentials)}
	r.credentials.set("docker.io", new(entry))
	for _, host := range []string{"registry-1.docker.io", "registry.hub.docker.com"} {
		if hint := r.hint(host, false); hint != "" {
			t.Errorf("%s: %s", host, hint)
		}
	}
}

// serveTar serves an archive of these entries; those that are files have a task in them.
// What is cut lacks its end.
func serveTar(t *testing.T, cut int, headers ...tar.Header) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, header := range headers {
		if header.Typeflag == tar.TypeReg {
			header.Size = max(header.Size, int64(len(oneStep)))
		}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		text := append([]byte(oneStep), make([]byte, max(0, header.Size-int64(len(oneStep))))...)
		if _, err := w.Write(text[:header.Size]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	body := out.Bytes()[:out.Len()-cut]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	t.Cleanup(server.Close)
	return server.URL + "/x.tar"
}

// Whatever an uploaded source has where the agent reads a file, the run fails and says why:
// it is no error of ours.
func TestStrangeSources(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	for name, test := range map[string]struct {
		cut     int
		headers []tar.Header
	}{
		"link out":        {0, []tar.Header{link("acb.yaml", "/etc/passwd")}},
		"link up":         {0, []tar.Header{link("acb.yaml", "../../../../../../etc/passwd")}},
		"link to self":    {0, []tar.Header{link("acb.yaml", "acb.yaml")}},
		"link to nowhere": {0, []tar.Header{link("acb.yaml", "nowhere")}},
		"hard link":       {0, []tar.Header{{Name: "acb.yaml", Typeflag: tar.TypeLink, Linkname: "../acb.yaml"}}},
		"directory":       {0, []tar.Header{{Name: "acb.yaml", Typeflag: tar.TypeDir, Mode: 0o755}}},
		"pipe":            {0, []tar.Header{{Name: "acb.yaml", Typeflag: tar.TypeFifo}}},
		"device":          {0, []tar.Header{{Name: "acb.yaml", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}}},
		"huge":            {0, []tar.Header{{Name: "acb.yaml", Typeflag: tar.TypeReg, Mode: 0o644, Size: 8 << 20}}},
		"values link":     {0, []tar.Header{file("acb.yaml"), link("values.yaml", "/etc/passwd")}},
		"values pipe":     {0, []tar.Header{file("acb.yaml"), {Name: "values.yaml", Typeflag: tar.TypeFifo}}},
		"file as folder":  {0, []tar.Header{file("acb.yaml"), file("acb.yaml/x")}},
		"folder as file":  {0, []tar.Header{{Name: "acb.yaml", Typeflag: tar.TypeDir, Mode: 0o755}, file("acb.yaml")}},
		"cut":             {2000, []tar.Header{file("acb.yaml"), file("values.yaml")}},
		"empty":           {0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			rig := newRig(t)
			j := withContext(t, job(oneStep), serveTar(t, test.cut, test.headers...))
			j.Step.ValuesPath = "values.yaml"
			run := rig.leaser.Queue(j)
			rig.start()
			result, log := rig.result(run), rig.leaser.Log(run)
			if result.Status != lease.Failed || result.Message == "" || strings.Contains(log, "root:") ||
				strings.Contains(log, "internal error") {
				t.Errorf("%+v\n%s", result, log)
			}
		})
	}
}

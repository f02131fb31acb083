//go:build linux && cgo

package buildkit

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	dockerfilefrontend "github.com/moby/buildkit/frontend/dockerfile/builder"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/sirupsen/logrus"
	"github.com/tonistiigi/fsutil"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
	"github.com/acrux/acrux/internal/secret"
)

// bench is a builder with what it works on.
type bench struct {
	*Builder
	registries *imagestore.Registries
	closers    []func() error
}

func openBench(b *testing.B) *bench {
	b.Helper()
	root := b.TempDir()
	runtime, err := container.New(filepath.Join(root, "containers"))
	if err != nil {
		b.Fatal(err)
	}
	store, err := imagestore.Open(b.Context(), filepath.Join(root, "images"))
	if err != nil {
		b.Fatal(err)
	}
	dialer := &egress.Dialer{Policy: egress.Policy{Loopback: true}}
	registries := imagestore.NewRegistries(dialer)
	resolv := filepath.Join(root, "resolv.conf")
	if err := os.WriteFile(resolv, nil, 0o644); err != nil {
		b.Fatal(err)
	}
	builder, err := Open(b.Context(), Options{
		Root: filepath.Join(root, "build"), Store: store, Registries: registries, Dialer: dialer, Runtime: runtime, ResolvConf: resolv,
		Network: func(string, string, bool) (Sandbox, error) { return Sandbox{Close: func() error { return nil }}, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	return &bench{Builder: builder, registries: registries, closers: []func() error{builder.Close, store.Close, runtime.Close}}
}

func (o *bench) close(b *testing.B) {
	b.Helper()
	for _, f := range o.closers {
		if err := f(); err != nil {
			b.Error(err)
		}
	}
}

// ours builds as runs do, with all that is done around BuildKit.
func (o *bench) ours(b *testing.B, dir, host string) time.Duration {
	b.Helper()
	login := imagestore.Login(func(string) (string, secret.String, bool) { return "", secret.String{}, false })
	run, err := o.store.OpenRun(b.Context(), "run", o.registries, login)
	if err != nil {
		b.Fatal(err)
	}
	defer run.Close(context.WithoutCancel(b.Context()))
	var out bytes.Buffer
	began := time.Now()
	result, err := o.Build(b.Context(), Request{
		RunID: "run", Images: run, Login: login, Workspace: dir, ContextDir: dir, Dockerfile: filepath.Join(dir, "Dockerfile"),
		Tags: []string{"bench"}, Args: map[string]string{"REGISTRY_NAME": host}, CacheScope: "bench",
	}, &out)
	took := time.Since(began)
	if err != nil || !result.OK {
		b.Fatalf("%+v, %v\n%s", result, err, out.String())
	}
	return took
}

// plain has BuildKit do the same, with its own frontend and nothing of ours around it.
func (o *bench) plain(b *testing.B, dir, host string) time.Duration {
	b.Helper()
	files, err := fsutil.NewFS(dir)
	if err != nil {
		b.Fatal(err)
	}
	reports := make(chan *client.SolveStatus)
	go func() {
		for range reports {
			continue // nobody looks
		}
	}()
	began := time.Now()
	_, err = o.client.Build(b.Context(), client.SolveOpt{
		Exports:       []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{"name": "docker.io/library/bench:latest", "oci-mediatypes": "false"}}},
		LocalMounts:   map[string]fsutil.FS{"context": files, "dockerfile": files},
		SharedKey:     "plain",
		FrontendAttrs: map[string]string{"filename": "Dockerfile", "build-arg:REGISTRY_NAME": host},
		Session:       []session.Attachable{secretsprovider.FromMap(nil)},
	}, "bench", func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		return dockerfilefrontend.Build(ctx, c)
	}, reports)
	if err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func sixInstructions(b *testing.B) (dir string) {
	b.Helper()
	dir = b.TempDir()
	for name, text := range map[string]string{
		"file":       "content",
		"Dockerfile": "ARG REGISTRY_NAME\nFROM ${REGISTRY_NAME}/baseimages/busybox:1\nCOPY . /src\nRUN cd /src && ls > /out && cat /out\nEXPOSE 80\nCMD [\"cat\", \"/out\"]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// BenchmarkOverBuildKit builds six instructions with and without what is ours, in turns,
// and reports the medians and their difference: cold on empty stores, and cached.
func BenchmarkOverBuildKit(b *testing.B) {
	logrus.SetOutput(io.Discard) // the libraries' own
	f := enginetest.NewFixtures(b)
	dir := sixInstructions(b)
	type how func(*bench, *testing.B, string, string) time.Duration
	both := map[string]how{"ours": (*bench).ours, "plain": (*bench).plain}
	b.Run("cold", func(b *testing.B) {
		took := map[string][]time.Duration{}
		for b.Loop() {
			for name, build := range both {
				o := openBench(b)
				took[name] = append(took[name], build(o, b, dir, f.Public.Host))
				o.close(b)
			}
		}
		enginetest.ReportOver(b, took["ours"], took["plain"])
	})
	b.Run("cached", func(b *testing.B) {
		took := map[string][]time.Duration{}
		o := openBench(b)
		for _, build := range both {
			build(o, b, dir, f.Public.Host)
		}
		for b.Loop() {
			for name, build := range both {
				took[name] = append(took[name], build(o, b, dir, f.Public.Host))
			}
		}
		o.close(b)
		enginetest.ReportOver(b, took["ours"], took["plain"])
	})
}

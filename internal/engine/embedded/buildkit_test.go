//go:build linux && cgo

package embedded

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// builds are the builds of one run.
type builds struct {
	engine.Scope
	t   *testing.T
	dir string
}

func openBuilds(t *testing.T, e *Executor, id string, credentials engine.Credentials) *builds {
	t.Helper()
	b := &builds{t: t, dir: t.TempDir()}
	var err error
	b.Scope, err = e.Open(t.Context(), engine.RunSpec{ID: id, Workspace: b.dir, Home: t.TempDir(), CacheScope: "scope", Credentials: credentials})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the scope: %v", err)
		}
	})
	return b
}

// build builds a Dockerfile, in the file's own directory.
func (b *builds) build(dockerfile string, build engine.Build) (engine.BuildResult, string) {
	b.t.Helper()
	file := filepath.Join(b.dir, "Dockerfile")
	if err := os.WriteFile(file, []byte(dockerfile), 0o644); err != nil {
		b.t.Fatal(err)
	}
	build.ContextDir, build.Dockerfile = b.dir, file
	var out bytes.Buffer
	result, err := b.Build(b.t.Context(), build, &out)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, out.String())
	}
	return result, out.String()
}

// cat shows a file of an image.
func (b *builds) cat(image, file string) string {
	b.t.Helper()
	var out bytes.Buffer
	if _, err := b.Command(b.t.Context(), engine.Command{Image: image, Args: []string{"cat", file}}, &out); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

// A cache in a registry serves an engine that has none of its own, image and all, and
// only whom the registry lets in.
func TestCacheInRegistry(t *testing.T) {
	f := enginetest.NewFixtures(t)
	dockerfile := "FROM " + f.Base + "\nRUN cat /proc/sys/kernel/random/uuid > /made\nRUN cp /made /twice\n"
	for name, to := range map[string]engine.Cache{
		"registry": {Kind: "registry", Options: map[string]string{"ref": f.Private.Host + "/cache:1", "mode": "max"}},
		"inline":   {Kind: "inline", Options: map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			image := f.Private.Host + "/" + name + ":1"
			from := engine.Cache{Kind: "registry", Options: map[string]string{"ref": to.Options["ref"]}}
			if to.Kind == "inline" {
				from.Options["ref"] = image
			}
			first := openBuilds(t, openIn(t, t.TempDir()), "first", f.Private.Credentials())
			result, out := first.build(dockerfile, engine.Build{Tags: []string{image}, CacheTo: []engine.Cache{to}, BuildKit: true})
			if !result.OK {
				t.Fatalf("the build failed:\n%s", out)
			}
			made := first.cat(image, "/made")
			var pushed bytes.Buffer
			if push, err := first.Push(t.Context(), image, &pushed); err != nil || !push.OK {
				t.Fatalf("the push failed: %v\n%s", err, pushed.String())
			}
			e := openIn(t, t.TempDir())
			stranger := openBuilds(t, e, "stranger", nil)
			if result, out := stranger.build(dockerfile, engine.Build{Tags: []string{"x"}, CacheFrom: []engine.Cache{from}}); !result.OK || result.Layers.Cached != 0 {
				t.Errorf("who may not pull the cache got %+v of it:\n%s", result.Layers, out)
			}
			second := openBuilds(t, openIn(t, t.TempDir()), "second", f.Private.Credentials())
			again := f.Private.Host + "/" + name + ":2"
			result, out = second.build(dockerfile, engine.Build{Tags: []string{again}, CacheFrom: []engine.Cache{from}})
			if want := (engine.Layers{Total: 2, Cached: 2}); !result.OK || result.Layers != want {
				t.Fatalf("the second build got %+v, want %+v:\n%s", result.Layers, want, out)
			}
			if got := second.cat(again, "/twice"); got != made {
				t.Errorf("the second build's image has %q, want %q", got, made)
			}
			pushed.Reset()
			if push, err := second.Push(t.Context(), again, &pushed); err != nil || !push.OK {
				t.Errorf("the push of what came from the cache failed: %v\n%s", err, pushed.String())
			}
		})
	}
}

// A RUN signs with the build's key, does not see it and cannot take it away.
func TestBuildAgents(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	f := enginetest.NewFixtures(t)
	b := openBuilds(t, openIn(t, t.TempDir()), "agents", nil)
	program := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(b.dir, "askagent"), "./testdata/askagent")
	program.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := program.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const dockerfile = "COPY askagent /\nRUN --mount=type=ssh,id=deploy,required=true /askagent > /one && /askagent >> /one\n"
	keys := map[string][]byte{"deploy": pem.EncodeToMemory(block)}
	result, out := b.build("FROM "+f.Base+"\n"+dockerfile, engine.Build{Tags: []string{"with"}, Keys: keys})
	if !result.OK {
		t.Fatalf("the build failed:\n%s", out)
	}
	once := ssh.FingerprintSHA256(public) + " true\nemptied: false\n"
	if got := b.cat("with", "/one"); got != once+once {
		t.Errorf("the agent gave\n%swant\n%s", got, once+once)
	}
	if result, out := b.build("FROM "+f.Base+"\n"+dockerfile, engine.Build{Tags: []string{"without"}}); result.OK || !strings.Contains(out, "unset ssh forward key deploy") {
		t.Errorf("without the key: %+v\n%s", result, out)
	}
	if result, out := b.build("FROM "+f.Base+"\n", engine.Build{Keys: map[string][]byte{"bad": []byte("x")}}); result.OK || !strings.Contains(out, "the key bad of --ssh cannot be used") {
		t.Errorf("with a bad key: %+v\n%s", result, out)
	}
}

// A Dockerfile finds folders and images by the names that the build gives them.
func TestBuildContexts(t *testing.T) {
	f := enginetest.NewFixtures(t)
	b := openBuilds(t, openIn(t, t.TempDir()), "contexts", nil)
	folder := filepath.Join(b.dir, "more")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), []byte("from the folder\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dockerfile := "FROM base\nCOPY --from=files file /file\nRUN ulimit -n > /limit; df -k /dev/shm | tail -1 | awk '{print $2}' >> /limit\n"
	result, out := b.build(dockerfile, engine.Build{
		Tags:     []string{"named"},
		Contexts: map[string]string{"base": "docker-image://" + f.Base, "files": folder},
		ShmSize:  8 << 20, Ulimits: []string{"nofile=123:123"},
	})
	if !result.OK {
		t.Fatalf("the build failed:\n%s", out)
	}
	if got := b.cat("named", "/file"); got != "from the folder\n" {
		t.Errorf("the file has %q", got)
	}
	if got := b.cat("named", "/limit"); got != "123\n8192\n" {
		t.Errorf("the limits are %q", got)
	}
}

package enginetest

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
)

var buildTests = map[string]func(*suite){
	"BuildLog":        (*suite).testBuildLog,
	"BuildThenUse":    (*suite).testBuildThenUse,
	"BuildOptions":    (*suite).testBuildOptions,
	"BuildStages":     (*suite).testBuildStages,
	"BuildSeesLimits": (*suite).testBuildSeesLimits,
	"BuildFailures":   (*suite).testBuildFailures,
	"BuildSecrets":    (*suite).testBuildSecrets,
	"BuildStrangers":  (*suite).testBuildStrangers,
	"BuildRefuses":    (*suite).testBuildRefuses,
	"BuildKitOutput":  (*suite).testBuildKitOutput,
	"BuildWarnings":   (*suite).testBuildWarnings,
	"BuildSyntax":     (*suite).testBuildSyntax,
	"BuildCancel":     (*suite).testBuildCancel,
	"PushRefused":     (*suite).testPushRefused,
	"PushAgain":       (*suite).testPushAgain,
	"PullRefused":     (*suite).testPullRefused,
	"PullUnreachable": (*suite).testPullUnreachable,
}

const application = `ARG REGISTRY_NAME
FROM ${REGISTRY_NAME}/baseimages/busybox:1
COPY . /src
RUN echo "installed $(ls /src | wc -l) files"
EXPOSE 80
CMD ["cat", "/src/file"]
`

func (s *suite) testBuildLog() {
	r := s.open(s.Private.Credentials())
	r.file("file", "content\n")
	tag := s.Public.Host + "/hello-world:cf10"
	result, out := r.build(application, func(b *engine.Build) {
		b.Tags = []string{tag}
		b.Args = map[string]string{"REGISTRY_NAME": s.Private.Host}
	})
	if !result.OK || result.ExitCode != 0 {
		s.Fatalf("result %+v\n%s", result, out)
	}
	order(s, out, "Sending build context to Docker daemon  3.072kB\n",
		"Step 1/6 : ARG REGISTRY_NAME\n",
		"Step 2/6 : FROM ${REGISTRY_NAME}/baseimages/busybox:1\n",
		"1: Pulling from baseimages/busybox\n", "Digest: sha256:",
		"Status: Downloaded newer image for "+s.Locked+"\n", " ---> ",
		"Step 3/6 : COPY . /src\n", " ---> ",
		"Step 4/6 : RUN echo", "installed 2 files\n", " ---> ",
		"Step 5/6 : EXPOSE 80\n", "Step 6/6 : CMD [", "Successfully built ", "Successfully tagged "+tag+"\n")
	want := []engine.BaseImage{{Reference: s.Locked, Digest: digestIn(out)}}
	if len(result.Bases) != 1 || result.Bases[0] != want[0] {
		s.Errorf("bases %+v, want %+v", result.Bases, want)
	}
	pushed, out := r.push(tag)
	if !pushed.OK || pushed.Digest != result.Digest || pushed.Size == 0 {
		s.Errorf("pushed %+v, built %+v", pushed, result)
	}
	order(s, out, "The push refers to repository ["+s.Public.Host+"/hello-world]\n", ": Pushed\n", "cf10: digest: "+result.Digest+" size: ")
	other := s.open(nil)
	if _, out := other.command(engine.Command{Image: tag}); !strings.HasSuffix(out, "content\n") {
		s.Errorf("the pushed image prints %q", out)
	}
}

// digestIn finds the line of a digest in a log.
func digestIn(log string) string {
	_, rest, _ := strings.Cut(log, "Digest: ")
	digest, _, _ := strings.Cut(rest, "\n")
	return digest
}

// order fails the test unless the parts come one after the other.
func order(s *suite, text string, parts ...string) {
	s.Helper()
	rest := text
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			s.Errorf("lacks %q, or has it in another place:\n%s", part, text)
			return
		}
		rest = after
	}
}

func (s *suite) testBuildThenUse() {
	r := s.open(nil)
	r.mustBuild("FROM "+s.Base+"\nRUN echo own > /own\n", "registry.example/own:1")
	_, out := r.mustBuild("FROM registry.example/own:1\nRUN cat /own && echo two > /two\n", "own2")
	s.contains(out, "\nown\n")
	if strings.Contains(out, "Pulling") {
		s.Errorf("an image of the run was pulled:\n%s", out)
	}
	if _, out := r.command(engine.Command{Image: "own2", Args: []string{"cat", "/own", "/two"}}); out != "own\ntwo\n" {
		s.Errorf("got %q", out)
	}
	if RaceDetector {
		return // two images at once: see RaceDetector
	}
	r.mustBuild("FROM "+s.Base+"\nCOPY --from=own2 /two /there\nRUN cat /there\n", "own3")
}

func (s *suite) testBuildOptions() {
	r := s.open(nil)
	r.file("other/Dockerfile.x", "FROM "+s.Base+" AS one\nARG A=default\nRUN echo A is $A; cat /etc/hosts\nFROM one AS two\nRUN false\n")
	result, out := r.build("", func(b *engine.Build) {
		b.Dockerfile = r.spec.Workspace + "/other/Dockerfile.x"
		b.Tags = []string{"x", "y:2"}
		b.Target = "one"
		b.Args = map[string]string{"A": "given"}
		b.Labels = map[string]string{"l": "v"}
		b.AddHosts = []string{"some.host:10.1.2.3"}
		b.NoCache, b.Network = true, "none"
	})
	if !result.OK {
		s.Fatalf("the build failed:\n%s", out)
	}
	s.contains(out, "Step 1/3 :", "A is given\n", "10.1.2.3\tsome.host", "Successfully tagged x:latest\n", "Successfully tagged y:2\n")
	if _, out := r.command(engine.Command{Image: "y:2", Args: []string{"echo", "runs"}}); out != "runs\n" {
		s.Errorf("got %q", out)
	}
}

func (s *suite) testBuildSeesLimits() {
	if !s.limits() {
		return // whoever runs the executor may not limit memory
	}
	r := s.open(nil)
	_, out := r.mustBuild("FROM "+s.Base+"\nRUN "+seeLimit+"\n", "sees")
	s.contains(out, "\nkept\n")
}

func (s *suite) testBuildStages() {
	r := s.open(nil)
	result, out := r.mustBuild(strings.ReplaceAll(`FROM BASE AS unused
RUN exit 1
FROM BASE AS build
RUN echo made > /made
FROM scratch
COPY --from=build /made /made
`, "BASE", s.Base), "staged")
	s.contains(out, "Step 1/4 : FROM "+s.Base+" AS build\n", "Step 4/4 : COPY --from=build /made /made\n")
	if len(result.Bases) != 1 || result.Bases[0].Reference != s.Base {
		s.Errorf("bases %+v", result.Bases)
	}
}

func (s *suite) testBuildFailures() {
	// With the base image in place, nothing else is under way when a step fails.
	s.open(nil).mustBuild("FROM " + s.Base + "\nRUN true\n")
	for name, test := range map[string]struct {
		dockerfile string
		want       []string
	}{
		"command": {"FROM " + s.Base + "\nRUN echo before\nRUN echo out; exit 3\nRUN echo 'after'\n",
			[]string{"Step 2/4 : RUN echo before\n", "before\n", "Step 3/4 : RUN echo out; exit 3\n", "out\n", "The command '/bin/sh -c echo out; exit 3' returned a non-zero code: 3\n"}},
		"copy":        {"FROM " + s.Base + "\nCOPY nothing /\n", []string{"Step 2/2 : COPY nothing /\n", "COPY failed: file not found in build context or excluded by .dockerignore: stat nothing: file does not exist\n"}},
		"syntax":      {"FROM " + s.Base + "\nRUNN x\n", []string{"dockerfile parse error on line 2: unknown instruction: RUNN"}},
		"empty":       {"# nothing\n", []string{"no instructions"}},
		"base":        {"FROM " + s.Public.Host + "/no/such:1\n", []string{"Step 1/1 : FROM", "manifest for " + s.Public.Host + "/no/such:1 not found"}},
		"reference":   {"FROM Not/Legal\n", []string{"invalid reference format"}},
		"host":        {"FROM " + s.Base + "\nRUN --network=host true\n", []string{"network.host"}},
		"git":         {"FROM " + s.Base + "\nADD https://example.invalid/x.git /x\n", []string{"ADD from a git repository is not supported"}},
		"web":         {"FROM " + s.Base + "\nADD http://169.254.169.254/latest /x\n", []string{"is not allowed by this server's egress policy"}},
		"no workload": {"FROM " + s.Base + "\nRUN [\"/no/such\"]\n", []string{"returned a non-zero code: 127"}},
	} {
		s.Run(name, func(t *testing.T) {
			if RaceDetector && name == "web" {
				t.Skip("fails while the base image is looked at: see RaceDetector")
			}
			s := s.on(t)
			if name == "no workload" {
				s.needs(RunExitCode)
			}
			result, out := s.open(nil).build(test.dockerfile, nil)
			if result.OK || result.ExitCode != 1 {
				s.Errorf("result %+v", result)
			}
			if strings.Contains(out, "after\n") {
				s.Errorf("goes on after the failure:\n%s", out)
			}
			s.contains(out, test.want...)
		})
	}
	r := s.open(nil)
	result, out := r.build("", func(b *engine.Build) { b.Dockerfile = r.spec.Workspace + "/nowhere" })
	if result.OK {
		s.Error("a build without a Dockerfile succeeded")
	}
	s.contains(out, "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat ", "nowhere: no such file or directory")
}

// strangers are what may lie in the place of a file of somebody's sources.
var strangers = map[string]func(path string) error{
	"link out":     func(path string) error { return os.Symlink("/etc/passwd", path) },
	"link up":      func(path string) error { return os.Symlink("../../../../etc/passwd", path) },
	"link to self": func(path string) error { return os.Symlink(filepath.Base(path), path) },
	"directory":    func(path string) error { return os.Mkdir(path, 0o755) },
	"pipe":         func(path string) error { return syscall.Mkfifo(path, 0o644) },
	"device":       func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o644, 1<<8|5) }, // endless zeros
	"huge": func(path string) error {
		return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 64<<30))
	},
}

// testBuildStrangers: what a build reads itself may be anything. Then the build fails and
// says why; nothing of the machine is read, nothing waits, and it is not our error.
func (s *suite) testBuildStrangers() {
	s.open(nil).mustBuild("FROM " + s.Base + "\nRUN true\n")
	r := s.open(nil)
	for kind, put := range strangers {
		for _, name := range []string{"strange", ".dockerignore", "Dockerfile.dockerignore"} {
			path := filepath.Join(r.spec.Workspace, name)
			if err := put(path); errors.Is(err, os.ErrPermission) {
				continue // only root makes devices
			} else if err != nil {
				s.Fatal(err)
			}
			for _, plain := range []bool{false, true} {
				result, out := r.build("FROM "+s.Base+"\nRUN true\n", func(b *engine.Build) {
					if b.BuildKit = plain; name == "strange" {
						b.Dockerfile = path
					}
				})
				if result.OK || strings.Contains(out, "root:") || !strings.Contains(out,
					"unable to prepare context: ") || !strings.Contains(out, name) {
					s.Errorf("%s is a %s: %+v\n%s", name, kind, result, out)
				}
			}
			if err := os.RemoveAll(path); err != nil {
				s.Fatal(err)
			}
		}
	}
	r.file(".dockerignore", "[\n")
	if result, out := r.build("FROM "+s.Base+"\nCOPY . /x\n", nil); result.OK || !strings.Contains(out,
		"unable to prepare context: ") {
		s.Errorf("a pattern that is none: %+v\n%s", result, out)
	}
}

func (s *suite) testBuildSecrets() {
	dockerfile := "FROM " + s.Base + "\nRUN --mount=type=secret,id=key cat /run/secrets/key > /copy 2>/dev/null || echo none > /copy\nRUN cat /copy; echo .\n"
	r := s.open(nil)
	_, out := r.build(dockerfile, func(b *engine.Build) { b.Secrets = map[string][]byte{"key": []byte("first")} })
	s.contains(out, "first.\n")
	other := s.open(nil)
	_, out = other.build(dockerfile, nil)
	if strings.Contains(out, "first") {
		s.Errorf("a run sees what another made of its secret:\n%s", out)
	}
	s.contains(out, "none\n")
}

func (s *suite) testBuildRefuses() {
	r := s.open(nil)
	for _, network := range []string{"host", "container:x", "mine"} {
		result, out := r.build("FROM "+s.Base+"\n", func(b *engine.Build) { b.Network = network })
		if result.OK {
			s.Errorf("network %s was accepted", network)
		}
		s.contains(out, network)
	}
	result, out := r.build("FROM "+s.Base+"\n", func(b *engine.Build) { b.Tags = []string{"Not Legal"} })
	if result.OK {
		s.Error("a wrong tag was accepted")
	}
	s.contains(out, "invalid reference format")
}

func (s *suite) testBuildKitOutput() {
	r := s.open(nil)
	tag := s.Public.Host + "/plain:1"
	result, out := r.build("FROM "+s.Base+"\nRUN echo hello\n", func(b *engine.Build) { b.BuildKit, b.Tags = true, []string{tag} })
	if !result.OK {
		s.Fatalf("the build failed:\n%s", out)
	}
	s.contains(out, "[2/2] RUN echo hello\n", " hello\n", "DONE", tag)
	if strings.Contains(out, ".run.local") || strings.Contains(out, ".invalid") {
		s.Errorf("names of the executor's own show:\n%s", out)
	}
	result, out = r.build("FROM "+s.Base+"\nRUN exit 4\n", func(b *engine.Build) { b.BuildKit = true })
	if result.OK {
		s.Error("a failing build succeeded")
	}
	s.contains(out, "ERROR", "exit code: 4")
}

func (s *suite) testBuildSyntax() {
	r := s.open(nil)
	r.mustBuild("# syntax=docker/dockerfile:1.7\nFROM " + s.Base + "\nRUN <<EOF\necho here\nEOF\n")
	// What is called like docker's at another host is somebody else's.
	for _, other := range []string{"example.invalid/own/frontend", "example.invalid/docker/dockerfile:1",
		"example.invalid/moby/buildkit/dockerfile", "moby/buildkit/dockerfile", "somebody/dockerfile"} {
		result, out := r.build("# syntax="+other+"\nFROM "+s.Base+"\n", nil)
		if result.OK {
			s.Errorf("the frontend %s was accepted", other)
		}
		s.contains(out, "the syntax directive names the frontend "+other)
	}
}

func (s *suite) testBuildCancel() {
	r := s.open(nil)
	cause := errors.New("canceled by the user")
	ctx, out := s.canceledBy(cause)
	dockerfile := r.file("Dockerfile", "FROM "+s.Base+"\nRUN echo star''ted; sleep 1000\n")
	_, err := r.Build(ctx, engine.Build{ContextDir: r.spec.Workspace, Dockerfile: dockerfile}, out)
	if !errors.Is(err, cause) {
		s.Errorf("error %v, want %v\n%s", err, cause, out.seen.String())
	}
}

func (s *suite) testPushRefused() {
	r := s.open(s.Private.Credentials())
	tag := s.Private.Host + "/readonly/x:1"
	r.mustBuild("FROM "+s.Base+"\n", tag)
	pushed, out := r.push(tag)
	if pushed.OK {
		s.Error("the push succeeded")
	}
	s.refused(pushed.Refused, http.StatusForbidden)
	s.contains(out, "denied: requested access to the resource is denied\n", Explanation+"\n", Hint+"\n")
	nobody := s.open(nil)
	nobody.mustBuild("FROM "+s.Base+"\n", tag)
	pushed, out = nobody.push(tag)
	if pushed.OK {
		s.Error("the push without a credential succeeded")
	}
	s.refused(pushed.Refused, http.StatusUnauthorized)
	s.contains(out, "unauthorized: authentication required\n", Hint, "no credential for the registry "+s.Private.Host)
	pushed, out = r.push(s.Private.Host + "/never/built:1")
	if pushed.OK {
		s.Error("the push of nothing succeeded")
	}
	s.contains(out, "does not exist locally")
}

func (s *suite) testPushAgain() {
	r := s.open(nil)
	tag := s.Public.Host + "/again:1"
	r.mustBuild("FROM "+s.Base+"\nRUN echo again > /f\n", tag)
	first, _ := r.push(tag)
	second, out := r.push(tag)
	if !second.OK || second.Digest != first.Digest {
		s.Errorf("first %+v, second %+v", first, second)
	}
	s.contains(out, ": Layer already exists\n")
	mounted := s.Public.Host + "/mounts/again:1"
	r.mustBuild("FROM "+s.Base+"\nRUN echo again > /f\n", mounted)
	third, out := r.push(mounted)
	if !third.OK {
		s.Errorf("third %+v\n%s", third, out)
	}
	s.contains(out, ": Mounted from baseimages/busybox\n", ": Pushed\n")
}

func (s *suite) testPullRefused() {
	r := s.open(nil)
	result, out := r.command(engine.Command{Image: s.Locked, Args: []string{"true"}})
	if result.ExitCode != 125 {
		s.Errorf("exit code %d", result.ExitCode)
	}
	s.refused(result.Refused, http.StatusUnauthorized)
	refusal := []string{"pull access denied for " + s.Private.Host + "/baseimages/busybox", Explanation, Hint, "no credential for the registry " + s.Private.Host}
	s.contains(out, refusal...)
	build, out := r.build("FROM "+s.Locked+"\n", nil)
	if build.OK {
		s.Error("the build succeeded")
	}
	s.refused(build.Refused, http.StatusUnauthorized)
	s.contains(out, append(refusal, "Step 1/1 : FROM "+s.Locked)...)
	wrong := s.open(Credentials{s.Private.Host: {Username: RefreshUser}})
	_, out = wrong.command(engine.Command{Image: s.Locked})
	if strings.Contains(out, "no credential") {
		s.Errorf("a run with a credential is said to have none:\n%s", out)
	}
}

// refused checks what a result tells of the private registry's refusal.
func (s *suite) refused(got *registryclient.Refusal, status int) {
	if got == nil || got.Host != s.Private.Host || got.Status != status || len(got.Reasons) != 1 || !slices.Equal(got.Reasons[0].Hints, []string{Hint}) {
		s.Errorf("the refusal is told as %+v", got)
	}
}

func (s *suite) testPullUnreachable() {
	r := s.open(nil)
	result, out := r.command(engine.Command{Image: "127.0.0.1:1/x:1"})
	if result.ExitCode != 125 {
		s.Errorf("exit code %d", result.ExitCode)
	}
	s.contains(out, "127.0.0.1:1")
	if result.Refused != nil {
		s.Errorf("nobody refused, and the result tells of %+v", result.Refused)
	}
}

//go:build linux && cgo

package step_test

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/engine"
)

// makeLinks is what a step puts into the workspace for those after it. What the server reads
// for them must not be what the links lead to.
const makeLinks = `cd /workspace &&
ln -s CANARY to-canary && ln -s DIR out && ln -s / root && ln -s loop loop && ln -s /proc/self/environ to-environ &&
ln -s /proc/self/root self-root && ln -s /proc/1/root first-root &&
mkfifo pipe && mkdir -p folder with-pipe with-link with-large with-dir with-many &&
echo "FROM IMAGE" > plain && cp plain with-pipe/Dockerfile && cp plain with-link/Dockerfile && cp plain with-large/Dockerfile && cp plain with-dir/Dockerfile &&
mkfifo with-pipe/.dockerignore && ln -s CANARY with-link/.dockerignore && mkdir with-dir/.dockerignore &&
dd if=/dev/zero of=with-large/.dockerignore bs=1M count=8 2>/dev/null &&
printf 'FROM IMAGE\nRUN --mount=type=secret,id=one cat /run/secrets/one\n' > secret &&
printf 'FROM IMAGE\nCOPY . /c/\nRUN ls /c/root/proc/1 /c/out/ || echo nothing is there\n' > all &&
mkdir files && ln -s CANARY files/link && mkfifo files/pipe && mknod files/null c 1:3; cp all files/Dockerfile &&
rm -rf /acb/home/.docker && ln -s DIR /acb/home/.docker &&
echo made`

// linkSteps follow makeLinks.
var linkSteps = []stepCase{
	{"control: links are made", "cmd: IMAGE sh /workspace/make", "\nmade\n", failed},
	{"control: a plain build", "build: -f plain .", "Successfully built", failed},
	{"a Dockerfile that is a link", "build: -f to-canary .", "failed to scan dependencies", "Successfully built"},
	{"a Dockerfile through a link", "build: -f out/canary .", "failed to scan dependencies", "Successfully built"},
	{"a Dockerfile through the root", "build: -f rootCANARY .", "failed to scan dependencies", "Successfully built"},
	{"a Dockerfile through a process's root", "build: -f self-rootCANARY .", "failed to scan dependencies", "Successfully built"},
	{"a Dockerfile through the first process's root", "build: -f first-rootCANARY .", "failed to scan dependencies", "Successfully built"},
	{"a Dockerfile that is an environment", "build: -f to-environ .", "failed to scan dependencies", "Successfully built"},
	{"a Dockerfile that is a pipe", "build: -f pipe .", "not a regular file", "Successfully built"},
	{"a Dockerfile that is a circle", "build: -f loop .", "failed to scan dependencies", "Successfully built"},
	{"a context that is a link", "build: -f plain out", `path "out" not found`, "Successfully built"},
	{"a context that is the root", "build: -f plain root", "Successfully built|failed|not found", "canary of"},
	{"a context that is a circle", "build: -f plain loop", `path "loop" not found`, "Successfully built"},
	{"a context that is a pipe", "build: -f plain pipe", `path "pipe" not found`, "Successfully built"},
	{"a context of links, pipes and devices", "build: files", "nothing is there|" + failed, "canary of"},
	{"another context that is a link", "build: --build-context x=out -f plain .", "no such directory", "Successfully built"},
	{"ignored files by a pipe", "build: with-pipe", "Successfully built|" + failed, "canary of"},
	{"ignored files by a link", "build: with-link", "Successfully built|" + failed, "canary of"},
	{"ignored files by a directory", "build: with-dir", "Successfully built|" + failed, "canary of"},
	{"ignored files by a large file", "build: with-large", "Successfully built|" + failed, "canary of"},
	{"a secret that is a link", "build: --secret id=one,src=to-canary -f secret .", "could not read the secret one", "Successfully built"},
	{"a secret through a link", "build: --secret id=one,src=out/canary -f secret .", "could not read the secret one", "Successfully built"},
	{"a secret that is an environment", "build: --secret id=one,src=to-environ -f secret .", "could not read the secret one", "Successfully built"},
	{"a secret that is a pipe", "build: --secret id=one,src=pipe -f secret .", "could not read the secret one: not a regular file", "Successfully built"},
	{"a key that is a link", "build: --ssh default=to-canary -f plain .", "could not read the key default", "Successfully built"},
	{"variables that are a link", "cmd: --env-file to-canary IMAGE env", "the option --env-file: open to-canary", "PATH"},
	{"variables through a link", "cmd: --env-file out/canary IMAGE env", "the option --env-file: open out/canary", "PATH"},
	{"variables that are an environment", "cmd: --env-file to-environ IMAGE env", "the option --env-file: open to-environ", "word-of"},
	{"variables that are a pipe", "cmd: --env-file pipe IMAGE env", "not a regular file", "PATH"},
	{"variables that are a device", "cmd: --env-file /dev/zero IMAGE env", "the option --env-file: open /dev/zero", "PATH"},
	{"a working directory that is a link", "cmd: IMAGE cat canary\nworkingDirectory: out", "canary: No such file|" + failed, "canary of"},
	{"a build's working directory that is a link", "build: -f Dockerfile .\nworkingDirectory: out", failed, "Successfully built"},
	{"the workspace at another place", "cmd: -v {{.Run.SharedVolume}}:/x IMAGE cat /x/to-canary", "No such file", "canary of"},
	{"a pull after the home's configuration is a link", "cmd: LOCKED true", "authentication required", "canary of"},
	{"a push of what is a path", "push: ['../../x']", "invalid|" + failed, "canary of"},
}

func linksOfSteps(t *testing.T, p *place) {
	dir := filepath.Dir(p.canary)
	script := strings.ReplaceAll(p.fill(makeLinks), "DIR", dir)
	from := served(t, zipped(t, archive(t, file("make", script))))
	trySteps(t, p, "", linkSteps, inContext(from))
	p.unharmed(t)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory of the canary has %v, %v", entries, err)
	}
}

// mountsFrom is the first layer that has links where the container's mounts go.
const mountsFrom = 15

// layers are of images that would write beside their root file system.
var layers = []struct {
	name    string
	entries []entry
}{
	{"control: a file", []entry{file("made", "x")}},
	{"a name that leads above", []entry{file("../../../../../../../.."+escape, "x")}},
	{"a name that is absolute", []entry{file(escape, "x")}},
	{"a file through a link", []entry{link("d", "DIR"), file("d/canary", "x")}},
	{"a file through a link that leads above", []entry{link("d", "../../../../../../../../../..DIR"), file("d/canary", "x")}},
	{"a directory's place taken by a link", []entry{{Header: tar.Header{Name: "d/", Typeflag: tar.TypeDir}}, link("d", "DIR"), file("d/canary", "x")}},
	{"a hard link to a file of the machine", []entry{hardLink("h", "CANARY")}},
	{"a hard link that leads above", []entry{hardLink("h", "../../../../../../../../../..CANARY")}},
	{"a hard link through a link", []entry{link("d", "DIR"), hardLink("h", "d/canary")}},
	{"a hard link to a link, and a write to it", []entry{link("l", "CANARY"), hardLink("h", "l"), file("h", "x")}},
	{"a deletion that leads above", []entry{file("../../../../../../../../../..DIR/.wh.canary", "")}},
	{"a deletion through a link", []entry{link("d", "DIR"), file("d/.wh.canary", "")}},
	{"a deletion of all through a link", []entry{link("d", "DIR"), file("d/.wh..wh..opq", "")}},
	{"a deletion of what is above", []entry{file("a/.wh...", "")}},
	{"a deletion of itself", []entry{file(".wh..", "")}},
	{"links where the container's mounts go", []entry{link("workspace", "DIR"), link("acb", "DIR"), link("run", "DIR"), link("sys", "/etc")}},
	{"a link where the processes go", []entry{link("proc", "DIR")}},
	{"a link where devices go", []entry{link("dev", "DIR")}},
	{"links where the network's files go", []entry{link("etc/resolv.conf", "CANARY"), link("etc/hosts", "CANARY"), link("etc/hostname", "CANARY")}},
	{"users that are a link", []entry{link("etc/passwd", "CANARY"), link("etc/group", "/proc/self/environ")}},
	{"a program that is the runtime's", []entry{link("bin/true", "/proc/self/exe")}},
	{"a program that begins with the runtime", []entry{{Header: tar.Header{Name: "bin/true", Typeflag: tar.TypeReg, Mode: 0o755}, content: "#!/proc/self/exe\n"}}},
	{"a pipe for a program", []entry{special("bin/true", tar.TypeFifo)}},
}

// lookAround prints what links in an image lead to, as far as a container sees it.
const lookAround = "cat /d/canary /h /l /workspace/canary /run/canary /etc/passwd /etc/group /etc/hosts 2>/dev/null; /bin/true"

// layersOfImages starts a container of each image. Whether an image can be used does not
// matter, but for the control: what counts is that the machine is as it was.
func layersOfImages(t *testing.T, p *place) {
	r := p.open(t, nil)
	for i, l := range layers {
		if p.kind == onEngine && i > 0 && i < mountsFrom {
			continue // the engine unpacks them with code of its own
		}
		t.Run(l.name, func(t *testing.T) {
			for j := range l.entries {
				e := &l.entries[j]
				fill := strings.NewReplacer("DIR", filepath.Dir(p.canary), "CANARY", p.canary)
				e.Name, e.Linkname = fill.Replace(e.Name), fill.Replace(e.Linkname)
			}
			image := p.Public.Push(t, fmt.Sprintf("attack/layer%d:1", i), layered(t, l.entries...))
			result, out := r.command(t, engine.Command{Image: image, Network: "none", Args: []string{"sh", "-c", lookAround}})
			if i == 0 && result.ExitCode != 0 || strings.Contains(out, "canary of the machine") {
				t.Errorf("exit code %d: %s", result.ExitCode, out)
			}
			p.unharmed(t)
			if info := strange(t.TempDir(), p.canary); info != "" {
				t.Error(info)
			}
			if entries, err := os.ReadDir(filepath.Dir(p.canary)); err != nil || len(entries) != 1 {
				t.Errorf("the directory of the canary has %v, %v", entries, err)
			}
		})
	}
	if result, err := r.Command(t.Context(), engine.Command{Image: p.Base, Args: []string{"true"}}, io.Discard); err != nil || result.ExitCode != 0 {
		t.Errorf("afterwards nothing runs: %+v, %v", result, err)
	}
}

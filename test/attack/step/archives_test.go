//go:build linux && cgo

package step_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/tasks/lease"
)

func file(name, content string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content: content}
}

func link(name, to string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}}
}

func hardLink(name, to string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}}
}

func special(name string, kind byte) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: kind, Devmajor: 1, Devminor: 3}}
}

// raw is a header of an archive with a size that nobody has to keep, and what follows it.
func raw(name string, kind byte, size int64, content string) []byte {
	block := make([]byte, 512)
	copy(block, name)
	copy(block[100:], "0000644\x000000000\x000000000\x00")
	copy(block[124:], fmt.Sprintf("%011o\x0000000000000\x00", size))
	copy(block[148:], "        ")
	block[156] = kind
	copy(block[257:], "ustar\x0000")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	padded := content + strings.Repeat("\x00", (512-len(content)%512)%512)
	return append(block, padded...)
}

// record is one record of a PAX header.
func record(key, value string) string {
	for n := len(key) + len(value) + 3; ; n++ {
		if text := fmt.Sprintf("%d %s=%s\n", n, key, value); len(text) == n {
			return text
		}
	}
}

// paxHeader is a record for what follows, pax an archive of one file with it.
func paxHeader(key, value string) []byte {
	records := record(key, value)
	return raw("PaxHeaders/a", 'x', int64(len(records)), records)
}

func pax(key, value string) []byte {
	return append(append(paxHeader(key, value), raw("a", '0', 1, "a")...), make([]byte, 1024)...)
}

// sparse is a file that says that it is much larger than what is in the archive.
func sparse() []byte {
	records := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "huge") + record("GNU.sparse.realsize", "9000000000000")
	holes := "1\n9000000000000\n0\n"
	return append(raw("PaxHeaders/huge", 'x', int64(len(records)), records), raw("GNUSparseFile.0/huge", '0', 512, holes)...)
}

// contextArchives are archives of source code. DIR is the canary's directory.
var contextArchives = []struct {
	name    string
	entries []entry
	raw     []byte
	says    string
}{
	{"control: a file", []entry{file("a", "a")}, nil, "was successful"},
	{"control: a link within", []entry{file("a/b", "a"), link("l", "a"), file("l/c", "c")}, nil, "was successful"},
	{"a name that is absolute", []entry{file(escape, "x")}, nil, "the archive has a file outside of itself"},
	{"a name that leads above", []entry{file("../x", "x")}, nil, "the archive has a file outside of itself"},
	{"a name that leads above from within", []entry{file("a/../../x", "x")}, nil, "the archive has a file outside of itself"},
	{"a directory that leads above", []entry{{Header: tar.Header{Name: "../../x/", Typeflag: tar.TypeDir}}}, nil, "the archive has a file outside of itself"},
	{"a link that leads above", []entry{link("../x", "y")}, nil, "the archive has a file outside of itself"},
	{"a file through a link to a directory", []entry{link("d", "DIR"), file("d/canary", "x")}, nil, "path escapes from parent"},
	{"a file through a relative link", []entry{link("d", "../../../../../../../..DIR"), file("d/canary", "x")}, nil, "path escapes from parent"},
	{"a file through two links", []entry{link("a", "b"), link("b", "DIR"), file("a/canary", "x")}, nil, "path escapes from parent"},
	{"a file through links that become one", []entry{link("a", "."), link("a/b", "DIR"), file("a/b/canary", "x")}, nil, "path escapes from parent"},
	{"a file in the place of a link", []entry{link("l", "DIR/canary"), file("l", "x")}, nil, "was successful"},
	{"a link in the place of a directory", []entry{file("d/x", "x"), link("d", "DIR"), file("d/canary", "x")}, nil, "cannot be unpacked"},
	{"a directory in the place of a link", []entry{link("d", "DIR"), {Header: tar.Header{Name: "d/sub/", Typeflag: tar.TypeDir}}}, nil, "path escapes from parent"},
	{"a hard link to a file of the machine", []entry{hardLink("h", "DIR/canary")}, nil, "cannot be unpacked"},
	{"a hard link that leads above", []entry{hardLink("h", "../../../../../../../..DIR/canary")}, nil, "cannot be unpacked"},
	{"a hard link through a link", []entry{link("d", "DIR"), hardLink("h", "d/canary")}, nil, "path escapes from parent"},
	{"a hard link to a link, and a write to it", []entry{link("l", "DIR/canary"), hardLink("h", "l"), file("h", "x")}, nil, "was successful"},
	{"a hard link that is a link's name", []entry{link("d", "DIR"), file("x", "x"), hardLink("d/canary", "x")}, nil, "path escapes from parent"},
	{"links in a circle", []entry{link("a", "b"), link("b", "a"), file("a/x", "x")}, nil, "cannot be unpacked"},
	{"a device", []entry{special("null", tar.TypeChar), special("disk", tar.TypeBlock)}, nil, "was successful"},
	{"a pipe", []entry{special("pipe", tar.TypeFifo), special("Dockerfile", tar.TypeFifo)}, nil, "was successful"},
	{"a file with the rights of its owner", []entry{{Header: tar.Header{Name: "s", Typeflag: tar.TypeReg, Mode: 0o6755}, content: "x"}}, nil, "was successful"},
	{"a PAX record with a name above", nil, pax("path", "../../x"), "the archive has a file outside of itself"},
	{"a PAX record with an absolute name", nil, pax("path", escape), "the archive has a file outside of itself"},
	{"a name that is very long", []entry{file(strings.Repeat("n", 5000), "x")}, nil, "cannot be unpacked"},
	{"directories that are very deep", []entry{file(strings.Repeat("d/", 4000)+"x", "x")}, nil, "cannot be unpacked|was successful"},
	{"a name that is nothing", nil, append(raw(".", '0', 1, "x"), make([]byte, 1024)...), "was successful"},
	{"a PAX record with a target of a link", nil, append(append(paxHeader("linkpath", "../../../../../../../etc"), raw("d", '2', 0, "")...), raw("d/passwd", '0', 1, "x")...), "path escapes from parent"},
	{"a name with the other slashes", []entry{file(`..\..\x`, "x")}, nil, "was successful"},
	{"a size that nobody has", nil, raw("huge", '0', 1<<32-1<<20, "x"), "unexpected EOF"},
	{"a size beyond the bound", nil, raw("huge", '0', 8<<30-1, "x"), "too large|larger than"},
	{"a file of holes", nil, append(sparse(), make([]byte, 1024)...), "too large|larger than"},
	{"a header that is broken", nil, append(raw("a", '0', 1, "a"), bytes.Repeat([]byte("x"), 2048)...), "cannot be unpacked"},
}

// strange looks for what must not be in a workspace, and for other names of the canary.
func strange(dir, canary string) (found string) {
	info, err := os.Stat(canary)
	if err != nil || info.Sys().(*syscall.Stat_t).Nlink != 1 {
		found = "the canary has another name"
	}
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := entry.Info(); err == nil && info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSetuid|fs.ModeSetgid) != 0 {
			found = path + ": " + info.Mode().String()
		}
		return nil
	})
	return found
}

// fakePlace has an executor that runs nothing: what is decided before containers are.
func fakePlace(t *testing.T) (*place, *string) {
	t.Helper()
	p := &place{canary: filepath.Join(t.TempDir(), "canary")}
	must(t, os.WriteFile(p.canary, []byte("canary of the machine\n"), 0o644))
	found := new(string)
	fake := &enginetest.Fake{}
	fake.OnCommand = func(_ context.Context, c engine.Command, _ io.Writer) (engine.CommandResult, error) {
		scopes := fake.Scopes()
		*found = strange(scopes[len(scopes)-1].Spec.Workspace, p.canary)
		if text := fmt.Sprintf("%+v", c); strings.Contains(text, word) || strings.Contains(text, "canary of the machine") {
			*found = "a step is told of the machine: " + text
		}
		return engine.CommandResult{}, nil
	}
	p.executor = fake
	return p, found
}

// TestArchives tries what archives of source code may say.
func TestArchives(t *testing.T) {
	for _, c := range contextArchives {
		t.Run(strings.ReplaceAll(c.name, "/", "|"), func(t *testing.T) {
			p, found := fakePlace(t)
			content := c.raw
			if content == nil {
				for i := range c.entries {
					c.entries[i].Linkname = strings.ReplaceAll(c.entries[i].Linkname, "DIR", filepath.Dir(p.canary))
				}
				content = archive(t, c.entries...)
			}
			from := served(t, zipped(t, content))
			_, log := task(t, p.executor, "steps: [{cmd: x}]", inContext(from))
			if !containsOne(log, c.says) || strings.Contains(log, "canary of the machine") || *found != "" {
				t.Errorf("want %q; %s\n%s", c.says, *found, log)
			}
			p.unharmed(t)
		})
	}
}

// taskFiles are contexts whose task file, values or aliases are elsewhere.
var taskFiles = []struct {
	name, file, values, inline, says string
}{
	{"control: a task file", "good.yaml", "", "", "was successful"},
	{"control: values and aliases", "good.yaml", "values.yaml", "version: v1.1.0\nalias: {src: [aliases.yaml]}\nsteps: [{cmd: $known}]", "was successful"},
	{"a task file above", "../../../../../../../..CANARY", "", "", "failed to load template"},
	{"a task file that is absolute", "CANARY", "", "", "failed to load template"},
	{"a task file that is a link", "to-canary", "", "", "failed to load template"},
	{"a task file through a link", "out/canary", "", "", "failed to load template"},
	{"a task file that is a directory", "folder", "", "", "failed to load template"},
	{"values above", "good.yaml", "../../../../../../../..CANARY", "", "failed to load values"},
	{"values that are a link", "good.yaml", "to-canary", "", "failed to load values"},
	{"aliases above", "", "", "version: v1.1.0\nalias: {src: [../../../../../../..CANARY]}\nsteps: [{cmd: x}]", "failed"},
	{"aliases that are a link", "", "", "version: v1.1.0\nalias: {src: [to-canary]}\nsteps: [{cmd: x}]", "failed"},
	{"aliases of the machine by a URL", "", "", "version: v1.1.0\nalias: {src: ['file://CANARY']}\nsteps: [{cmd: x}]", "failed"},
	{"aliases from metadata", "", "", "version: v1.1.0\nalias: {src: ['http://169.254.169.254/x']}\nsteps: [{cmd: x}]", "egress policy"},
	{"a template that reads variables of the server", "", "", "steps: [{cmd: 'x {{env \"MACHINE_WORD\"}}'}]", "was successful"},
	{"a template that expands variables of the server", "", "", "steps: [{cmd: 'x {{expandenv \"$MACHINE_WORD\"}}'}]", "was successful"},
	{"a template that asks the name server", "", "", "steps: [{cmd: 'x {{getHostByName \"localhost\"}}'}]", "failed"},
	{"a template without end", "", "", "steps: [{cmd: '{{range untilStep 0 1000000000 1}}x{{end}}'}]", "failed"},
	{"a step whose ID is a path", "", "", "steps: [{id: ../../x, build: 'http://127.0.0.1:1/x.tar'}]", "invalid container name"},
	{"a volume whose name is a path", "", "", "version: v1.1.0\nvolumes: [{name: ../../x, secret: {a: YQ==}}]\nsteps: [{cmd: x}]", "failed"},
	{"a key vault that is metadata", "", "", "version: v1.1.0\nsecrets: [{id: a, keyvault: 'https://169.254.169.254/secrets/x'}]\nsteps: [{cmd: 'x {{.Secrets.a}}'}]", "failed"},
}

// TestTaskFiles tries task files that would read what is not in their context.
func TestTaskFiles(t *testing.T) {
	for _, c := range taskFiles {
		t.Run(c.name, func(t *testing.T) {
			p, found := fakePlace(t)
			from := served(t, zipped(t, archive(t, file("good.yaml", "steps: [{cmd: x}]\n"), file("values.yaml", "a: b\n"), file("aliases.yaml", "known: x\n"),
				file("folder/x", ""), link("to-canary", p.canary), link("out", filepath.Dir(p.canary)))))
			_, log := task(t, p.executor, p.fill(c.inline), func(job *lease.Job) {
				job.Step.Context = from
				if c.inline == "" {
					job.Step.Kind, job.Step.TaskPath, job.Step.ValuesPath = lease.FileTask, p.fill(c.file), p.fill(c.values)
				}
			})
			if !strings.Contains(log, c.says) || strings.Contains(log, "canary of the machine") || strings.Contains(log, word) || *found != "" {
				t.Errorf("want %q; %s\n%s", c.says, *found, log)
			}
		})
	}
}

// TestSecretVolumes tries names of files in a secret volume that lead elsewhere.
func TestSecretVolumes(t *testing.T) {
	for name, want := range map[string]string{
		"a": "was successful", "../../x": "failed", "/etc/x": "failed", "..": "failed", "a/../../../x": "failed",
	} {
		t.Run(strings.ReplaceAll("a file "+name, "/", "|"), func(t *testing.T) {
			p, _ := fakePlace(t)
			_, log := task(t, p.executor, fmt.Sprintf("version: v1.1.0\nvolumes: [{name: v, secret: {%q: YQ==}}]\nsteps: [{cmd: x}]", name), nil)
			if !strings.Contains(log, want) {
				t.Errorf("want %q:\n%s", want, log)
			}
		})
	}
}

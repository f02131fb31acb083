package client

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
)

// tree makes a folder of files: name → content, and "name/" for folders.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

type packed struct {
	tar.Header
	text string
}

func pack(t *testing.T, folder, dockerfile string) (string, map[string]packed) {
	t.Helper()
	var b bytes.Buffer
	made, err := PackCompressed(t.Context(), &b, folder, PackOptions{Dockerfile: dockerfile})
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	all, r := map[string]packed{}, tar.NewReader(zip)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return made.Dockerfile, all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[header.Name] = packed{*header, string(text)}
	}
}

func names(all map[string]packed) string {
	var list []string
	for name := range all {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestPackIgnores(t *testing.T) {
	files := map[string]string{"a": "", "b.log": "", "sub/c.log": "", "sub/keep.log": "", "sub/deep/d": "", ".git/config": "", ".gitignore": "", "sub/.git/config": "", "empty/": ""}
	tests := []struct{ name, ignore, want string }{
		{"defaults", "", ".dockerignore a b.log empty/ sub/ sub/.git/ sub/.git/config sub/c.log sub/deep/ sub/deep/d sub/keep.log"},
		{"at any depth", "**/*.log\n**/.git", ".dockerignore a empty/ sub/ sub/deep/ sub/deep/d"},
		{"an exception", "**/*.log\n!sub/keep.log\n**/.git", ".dockerignore a empty/ sub/ sub/deep/ sub/deep/d sub/keep.log"},
		{"an exception below an ignored folder", "sub\nempty\n!sub/deep/d", ".dockerignore a b.log sub/deep/d"},
		{"version control after all", "sub\nempty\n!.git/**", ".dockerignore .git/config a b.log"},
		{"comments and blanks", "# none\n\n  sub  \n/empty/\n", ".dockerignore a b.log"},
		{"everything but one", "*\n!a", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, files)
			write(t, filepath.Join(dir, ".dockerignore"), tt.ignore)
			if _, all := pack(t, dir, ""); names(all) != tt.want {
				t.Errorf("got  %s\nwant %s", names(all), tt.want)
			}
		})
	}
	dir := tree(t, files)
	write(t, filepath.Join(dir, ".dockerignore"), "[")
	if _, err := Pack(t.Context(), io.Discard, dir, PackOptions{}); err == nil || !strings.Contains(err.Error(), ".dockerignore") {
		t.Errorf("a broken pattern: %v", err)
	}
}

// Modes and links arrive as they are, owners do not, and what has no content is left.
func TestPackEntries(t *testing.T) {
	long := strings.Repeat("long/", 60) + "ünïcode " + strings.Repeat("x", 200)
	dir := tree(t, map[string]string{"run.sh": "#!/bin/sh\n", "private": "x", long: "deep"})
	for name, mode := range map[string]os.FileMode{"run.sh": 0o755, "private": 0o600} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"link": "run.sh", "dangling": "nowhere", "outside": "/etc", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sparse.Truncate(1<<20), sparse.Close()); err != nil {
		t.Fatal(err)
	}
	_, all := pack(t, dir, "")
	var got []string
	for _, name := range []string{"run.sh", "private", "link", "dangling", "outside", "loop"} {
		e := all[name]
		got = append(got, fmt.Sprintf("%s %o %s %d %q", name, e.Mode, e.Linkname, e.Uid, e.Uname))
	}
	want := []string{`run.sh 755  0 ""`, `private 600  0 ""`, `link 777 run.sh 0 ""`, `dangling 777 nowhere 0 ""`, `outside 777 /etc 0 ""`, `loop 777 loop 0 ""`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if all[long].text != "deep" || len(all["sparse"].text) != 1<<20 {
		t.Error("the long name or the sparse file did not arrive")
	}
}

func TestPackLinkedFolder(t *testing.T) {
	dir := tree(t, map[string]string{"a": "x"})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, all := pack(t, link, ""); names(all) != "a" {
		t.Errorf("a folder by its link has %s", names(all))
	}
}

func TestPackDockerfile(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "inside", "sub/other": "other", ".dockerignore": "Dockerfile"})
	outside := filepath.Join(tree(t, map[string]string{"My File": "outside"}), "My File")
	tests := []struct{ name, in, suffix, want string }{
		{"ignored, and needed", "Dockerfile", "_Dockerfile", "inside"},
		{"below", "sub/other", "_other", "other"},
		{"outside", outside, "_My_File", "outside"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, all := pack(t, dir, tt.in)
			if all[name].text != tt.want || len(name) != 32+len(tt.suffix) || !strings.HasSuffix(name, tt.suffix) {
				t.Errorf("%s has %q", name, all[name].text)
			}
			if _, ok := all["Dockerfile"]; ok {
				t.Error("the ignored file is there under its own name")
			}
		})
	}
	if _, err := Pack(t.Context(), io.Discard, dir, PackOptions{Dockerfile: "missing"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a Dockerfile that is not there: %v", err)
	}
	if _, err := Pack(t.Context(), io.Discard, dir, PackOptions{Dockerfile: "sub"}); !problem.Is(err, problem.Invalid) {
		t.Errorf("a Dockerfile that is a folder: %v", err)
	}
}

// What a run reads itself is there whatever is ignored, and what hides it from builds.
func TestPackKeeps(t *testing.T) {
	dir := tree(t, map[string]string{"acb.yaml": "", "values.yaml": "", "other.yaml": "", "Dockerfile": "", "a/b/dev.Dockerfile": "",
		"a/b/dev.Dockerfile.dockerignore": "x", "a/b/secret": "", "a/secret": "", ".dockerignore": "*\n**/*.yaml\nDockerfile\na\n"})
	keep := []string{"acb.yaml", "./values.yaml", "Dockerfile", "a/b/dev.Dockerfile", "missing", "a/b"}
	var b bytes.Buffer
	if _, err := Pack(t.Context(), &b, dir, PackOptions{Keep: keep}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(&b); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, header.Name)
	}
	want := ".dockerignore Dockerfile a/b/dev.Dockerfile a/b/dev.Dockerfile.dockerignore acb.yaml values.yaml"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

// The ignore file beside a Dockerfile goes before that of the folder, and with it.
func TestPackIgnoresByDockerfile(t *testing.T) {
	dir := tree(t, map[string]string{"dev.Dockerfile": "FROM scratch", "dev.Dockerfile.dockerignore": "secret\n", "secret": "", "public": "",
		".dockerignore": "public\n"})
	name, all := pack(t, dir, "dev.Dockerfile")
	if all[name+".dockerignore"].text != "secret\n" {
		t.Errorf("it is not beside the Dockerfile: %s", names(all))
	}
	delete(all, name)
	delete(all, name+".dockerignore")
	if want := ".dockerignore dev.Dockerfile dev.Dockerfile.dockerignore public"; names(all) != want {
		t.Errorf("got  %s\nwant %s", names(all), want)
	}
}

func TestPackSources(t *testing.T) {
	file := filepath.Join(tree(t, map[string]string{"f": ""}), "f")
	if _, err := Pack(t.Context(), io.Discard, file, PackOptions{}); !problem.Is(err, problem.Invalid) {
		t.Errorf("a file: %v", err)
	}
	if _, err := Pack(t.Context(), io.Discard, file+"-missing", PackOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

// A file that shrinks between its header and its content breaks the archive, which
// must be told; one that grows is cut.
func TestPackWhileWritten(t *testing.T) {
	file := filepath.Join(tree(t, map[string]string{"f": "12345"}), "f")
	for size, want := range map[int64]string{6: "became shorter", 4: ""} {
		p := &packer{tar: tar.NewWriter(io.Discard)}
		if err := p.tar.WriteHeader(&tar.Header{Name: "f", Size: size}); err != nil {
			t.Fatal(err)
		}
		if err := p.copy(file, size); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes announced, 5 there: %v", size, err)
		}
	}
}

// full takes some bytes and no more.
type full struct{ left int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// What goes wrong on either side is told once, and nobody waits for the other for ever.
func TestPackFails(t *testing.T) {
	folder := t.TempDir()
	noise := make([]byte, 4<<20)
	_, _ = rand.Read(noise) // never fails
	if err := os.WriteFile(filepath.Join(folder, "noise"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 1, 1 << 20, len(noise) - 1} {
		_, err := PackCompressed(t.Context(), &full{room}, folder, PackOptions{})
		if !errors.Is(err, errFull) || strings.Count(err.Error(), errFull.Error()) != 1 {
			t.Errorf("room for %d bytes: %v", room, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := PackCompressed(ctx, io.Discard, folder, PackOptions{}); !errors.Is(err, why) {
		t.Errorf("canceled: %v", err)
	}
}

// cancels ends a context when it is first written to.
type cancels struct {
	cancel  func()
	written int
}

func (c *cancels) Write(p []byte) (int, error) {
	c.cancel()
	c.written += len(p)
	return len(p), nil
}

// The middle of a large file is early enough to stop.
func TestPackIsCanceledWithinAFile(t *testing.T) {
	folder := t.TempDir()
	large := filepath.Join(folder, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 64<<20); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	to := &cancels{cancel: cancel}
	if _, err := Pack(ctx, to, folder, PackOptions{}); !errors.Is(err, context.Canceled) || to.written > 1<<20 {
		t.Errorf("%d bytes come after the end: %v", to.written, err)
	}
}

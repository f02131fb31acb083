package clientimage

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a program needs is what its loader says.
func TestNeeded(t *testing.T) {
	program, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(out)) {
		for field := range strings.FieldsSeq(line) {
			if strings.HasPrefix(field, "/") {
				want = append(want, follow(t, field))
			}
		}
	}
	slices.Sort(want)
	files, err := needed(program)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range files {
		got = append(got, follow(t, file))
	}
	slices.Sort(got)
	got = slices.Compact(got) // the loader is a library as well
	if len(want) < 2 || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if files, err := needed("/bin/busybox"); err != nil || len(files) > 0 {
		t.Errorf("a static program needs %q, %v", files, err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{script, "/no/such/file", t.TempDir()} {
		if _, err := New(Contents{Programs: map[string]string{"docker": bad}}); err == nil {
			t.Errorf("an image of %s was made", bad)
		}
	}
}

func follow(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImage(t *testing.T) {
	var archives [2]bytes.Buffer
	for i := range archives {
		image, err := New(Contents{Programs: map[string]string{"docker": "/bin/busybox"}, Scripts: map[string]string{"start": "#!/bin/sh\n"}, Entrypoint: []string{"docker"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := image.Archive(&archives[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0].Bytes(), archives[1].Bytes()) {
		t.Error("the same program gives two images")
	}
	var names []string
	for parts := tar.NewReader(&archives[0]); ; {
		part, err := parts.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if part.Name != layerName {
			continue
		}
		for layer := tar.NewReader(parts); ; {
			entry, err := layer.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, entry.Name)
		}
	}
	want := []string{"bin/", "root/", "tmp/", "usr/", "usr/bin/", "usr/bin/busybox", "usr/local/", "usr/local/bin/", "usr/local/bin/docker", "usr/local/bin/start"}
	for applet := range strings.FieldsSeq(applets) {
		want = append(want, "bin/"+applet)
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the layer has %q, want %q", names, want)
	}
}

// The best shell of the machine goes with the client.
func TestShell(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	for _, tt := range []struct{ add, want string }{{"", ""}, {"sh", "bin/sh"}, {"busybox", busyboxPath}} {
		if tt.add != "" {
			if err := os.Symlink("/bin/busybox", filepath.Join(dir, tt.add)); err != nil {
				t.Fatal(err)
			}
		}
		programs := map[string]string{}
		links := shell(programs)
		if source := programs[tt.want]; tt.want != "" && source != filepath.Join(dir, tt.add) || len(programs) > 1 {
			t.Errorf("with %s: %q", tt.add, programs)
		}
		if (links["bin/sh"] == "/"+busyboxPath) != (tt.add == "busybox") {
			t.Errorf("with %s: links %q", tt.add, links)
		}
	}
}

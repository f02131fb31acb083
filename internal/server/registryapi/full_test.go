package registryapi_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/store/sqlstore"
)

// smallDisk says in the environment that the process has a mount namespace of its own.
const smallDisk = "ACRUX_TEST_SMALL_DISK"

// onSmallDisk runs the test anew in a process whose temporary files are on a disk of
// 32 MiB, and reports whether this is that process.
func onSmallDisk(t *testing.T) bool {
	t.Helper()
	if dir := os.Getenv(smallDisk); dir != "" {
		must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"))
		t.Setenv("TMPDIR", dir)
		return true
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("mounting a small disk needs root")
		}
		t.Skip("mounting a small disk needs root")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return false
}

// fill leaves no space on the disk, until the function it returns is called.
func fill(t *testing.T) (free func()) {
	t.Helper()
	name := filepath.Join(os.Getenv(smallDisk), "ballast")
	f, err := os.Create(name)
	must(t, err)
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else {
			must(t, err)
		}
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(name)) }
}

// When the disk is full, what writes is told so, what reads goes on, and when there is
// space again everything does.
func TestDiskFull(t *testing.T) {
	if !onSmallDisk(t) {
		return
	}
	w := servertest.New(t)
	if sqlstore.IsURL(w.Database) {
		return // its disk is another one
	}
	r := of(w, "myregistry", w.Admin)
	manifest := r.image(t, "hello", "v1", "layer")
	at := r.push(t, "hello")
	want(t, r.send("PATCH", at, "begun "), 202, "")
	large := strings.Repeat("x", 2<<20)
	padded := strings.Replace(manifest, `"layers"`, `"annotations":{"a":"`+large+`"},"layers"`, 1)
	free := fill(t)

	for range 3 { // it does not get worse
		for _, test := range []struct{ method, path, body string }{
			{"POST", "/v2/hello/blobs/uploads/?digest=" + digestOf(large), large},
			{"PUT", "/v2/hello/manifests/v2", padded},
		} {
			want(t, r.send(test.method, test.path, test.body, "Content-Type", imageType), 507, "INSUFFICIENT_STORAGE")
		}
		for size := 1 << 12; size < 1<<20; size *= 2 { // until there is no place left in the log of the database
			body := strings.Replace(manifest, `"layers"`, `"annotations":{"a":"`+large[:size]+`"},"layers"`, 1)
			if a := r.send("PUT", "/v2/hello/manifests/v4", body, "Content-Type", imageType); a.Status != 201 && a.Status != 507 {
				t.Fatalf("a manifest of %d bytes: %d %s", size, a.Status, a.Body)
			}
		}
		// Small changes may find a place.
		for _, test := range []struct{ method, path, body string }{
			{"PUT", "/v2/hello/manifests/v3", manifest}, {"POST", "/v2/hello/blobs/uploads/", ""}, {"PATCH", "/acr/v1/hello/_tags/v1", `{"deleteEnabled":true}`},
		} {
			if a := r.send(test.method, test.path, test.body, "Content-Type", imageType); a.Status >= 300 && a.Status != 507 {
				t.Errorf("%s %s: %d %s", test.method, test.path, a.Status, a.Body)
			}
		}
		a := w.ARM(w.Admin, "PUT", w.Group.String(), `{"location":"eastus","tags":{"a":"`+strings.Repeat("x", 200)+`"}}`)
		if a.Status >= 300 && (a.Status != 507 || a.At("error", "code") != "InsufficientStorage") {
			t.Errorf("a change of a group: %d %s", a.Status, a.Body)
		}
		equal(t, r.send("GET", "/v2/hello/manifests/v1", "").Body, manifest)
		equal(t, r.send("GET", "/v2/hello/blobs/"+digestOf("layer"), "").Body, "layer")
		want(t, r.send("GET", "/v2/hello/tags/list", ""), 200, "")
		want(t, r.send("GET", "/v2/_catalog", ""), 200, "")
		want(t, r.send("GET", "/oauth2/token?scope=repository:hello:pull", ""), 200, "")
	}
	want(t, r.send("PATCH", at, large), 507, "INSUFFICIENT_STORAGE")
	files := len(readFiles(t, w.Dir))
	for range 100 { // until one finds no place any more
		if a := r.send("POST", "/v2/hello/blobs/uploads/", ""); a.Status == 507 {
			break
		}
		files++
	}
	equal(t, len(readFiles(t, w.Dir)), files)
	source, _ := w.ARMOK(w.Admin, "POST", w.Registry.String()+"/listBuildSourceUploadUrl", "").At("uploadUrl").(string)
	if a := w.Do(servertest.Request{Method: "PUT", URL: source, Body: large, Header: map[string]string{"x-ms-blob-type": "BlockBlob"}}); a.Status != 507 {
		t.Errorf("source code: %d %s", a.Status, a.Body)
	}

	free()
	want(t, r.send("PATCH", at, "rest"), 404, "BLOB_UPLOAD_UNKNOWN")
	want(t, r.send("POST", "/v2/hello/blobs/uploads/?digest="+digestOf(large), large), 201, "")
	want(t, r.send("PUT", "/v2/hello/manifests/v2", padded, "Content-Type", imageType), 201, "")
	equal(t, r.send("GET", "/v2/hello/blobs/"+digestOf(large), "").Body, large)
	for _, content := range readFiles(t, w.Dir) {
		if content != "" && content != "layer" && content != "{}" && content != large { // an upload that was begun is empty
			t.Errorf("there are %d bytes that nobody pushed", len(content))
		}
	}
}

// readFiles reads all content on disk.
func readFiles(t *testing.T, dir string) (contents []string) {
	t.Helper()
	must(t, filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o400 {
			return err // an upload that goes on
		}
		text, err := os.ReadFile(path)
		contents = append(contents, string(text))
		return err
	}))
	return contents
}

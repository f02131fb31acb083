//go:build linux

package crash_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/test/fixture"
)

// A disk that others filled to the last byte can be emptied through the product: what is
// there can be pulled, deleted and collected, before and after a kill, what is new is
// refused, runs under way end, and once there is room all goes on.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, 300<<20)
	w := newWorldIn(t, dir, "disk: {reserve: 64m}\n")
	must(t, w.registry().push("large:1", randomImage(t, 100<<20)))
	under := w.longRun("8.01")
	w.holdsBallast()
	fillUp(t, filepath.Join(dir, "others"))

	w.refusesWhatIsNew()
	must(t, w.registry().pull("large:1"))
	w.eventually("the end of run "+under, func() bool { return w.status(under) == "Succeeded" })
	w.restart()
	must(t, w.registry().pull("large:1"))
	w.az("acr", "repository", "delete", "--name", "myregistry", "--repository", "large", "--yes")
	w.az("acr", "task", "list-runs", "--registry", "myregistry")
	w.restart()
	w.az("registry", "gc", "--data", w.Data, "--grace", "0s")
	must(t, w.registry().push("small:1", randomImage(t, 1<<20)))
	w.az("acr", "run", "--registry", "myregistry", "--cmd", "$Registry/base:1 true", "/dev/null")
	w.holdsBallast()
}

// Where nothing is left at all, a server starts and what is there can be pulled.
func TestNothingLeftOfDisk(t *testing.T) {
	dir := smallDisk(t, 100<<20)
	w := newWorldIn(t, dir, "disk: {reserve: 0}\n")
	must(t, w.registry().push("small:1", randomImage(t, 1<<20)))
	w.Kill()
	fillUp(t, filepath.Join(dir, "others"))
	for range 3 {
		w.restart()
		must(t, w.registry().pull("small:1"))
	}
	// A database that was closed takes a little to be opened again.
	must(t, os.Remove(filepath.Join(dir, "others")))
	w.az("acr", "repository", "delete", "--name", "myregistry", "--repository", "small", "--yes")
	must(t, os.Truncate(w.Log, 0)) // it tells of the full disk
	w.restart()
	must(t, w.Stop())
	// A database that was closed takes a little to be opened again.
	fillUp(t, filepath.Join(dir, "others"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := w.command(ctx, "serve", "--data", w.Data).CombinedOutput(); err == nil || !strings.Contains(string(out), "DiskFull") || !strings.Contains(string(out), "df -h "+w.Data) {
		t.Errorf("a start on a full disk: %v: %s", err, out)
	}
	must(t, os.Remove(filepath.Join(dir, "others")))
	w.start(w.Data)
	w.az("acr", "run", "--registry", "myregistry", "--cmd", "$Registry/base:1 true", "/dev/null")
}

func (w *world) refusesWhatIsNew() {
	w.t.Helper()
	if err := w.registry().push("small:1", randomImage(w.t, 1<<20)); err == nil || !strings.Contains(err.Error(), "INSUFFICIENT_STORAGE") {
		w.t.Errorf("a push to a full disk: %v", err)
	}
	for _, args := range [][]string{
		{"acr", "run", "--registry", "myregistry", "--cmd", "$Registry/base:1 true", "/dev/null"},
		{"acr", "create", "--resource-group", "g", "--name", "another", "--sku", "Basic"},
		{"ad", "sp", "create-for-rbac", "--name", "another"},
	} {
		out, err := w.command(w.t.Context(), args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no space left") {
			w.t.Errorf("%s on a full disk: %v: %s", args, err, out)
		}
	}
}

// holdsBallast waits until a quarter of the reserve of 64 MiB is held.
func (w *world) holdsBallast() {
	w.t.Helper()
	w.eventually("the part of the disk that is held for deletions", func() bool {
		info, err := os.Stat(filepath.Join(w.Data, "ballast"))
		return err == nil && info.Size() == 16<<20
	})
}

// smallDisk is a directory with a disk of its own.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	must(t, unix.Mount("disk", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fillUp fills the disk to the last byte.
func fillUp(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	must(t, err)
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else {
			must(t, err)
		}
	}
}

func randomImage(t *testing.T, bytes int64) v1.Image {
	t.Helper()
	image, err := random.Image(bytes/2, 2)
	must(t, err)
	return image
}

// registry is what a client of a world's registry needs.
type registry struct {
	host    string
	options []remote.Option
}

func (w *world) registry() registry {
	w.t.Helper()
	transport, err := fixture.Transport(w.Published.CABundle, w.Published.Address)
	must(w.t, err)
	w.t.Cleanup(transport.CloseIdleConnections)
	return registry{
		host:    w.az("acr", "show", "--name", "myregistry", "--query", "loginServer", "--output", "tsv"),
		options: []remote.Option{remote.WithAuth(&authn.Basic{Username: w.Admin.ClientID, Password: w.Admin.Secret}), remote.WithTransport(transport), remote.WithContext(w.t.Context())},
	}
}

func (r registry) push(image string, content v1.Image) error {
	ref, err := name.ParseReference(r.host + "/" + image)
	if err != nil {
		return err
	}
	return remote.Write(ref, content, r.options...)
}

// pull reads all of an image and compares it with its digests.
func (r registry) pull(image string) error {
	ref, err := name.ParseReference(r.host + "/" + image)
	if err != nil {
		return err
	}
	content, err := remote.Image(ref, r.options...)
	if err != nil {
		return err
	}
	return validate.Image(content)
}

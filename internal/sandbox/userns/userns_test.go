//go:build linux

package userns

import (
	"os"
	"path/filepath"
	"testing"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("user namespaces for others take root")
	}
	t.Skip("user namespaces for others take root")
}

func TestCheck(t *testing.T) {
	needRoot(t)
	views, err := os.MkdirTemp("", "views")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(views)
	if err := os.Chmod(views, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := Check(t.TempDir(), views); err != nil {
		t.Fatal(err)
	}
}

func TestRangesDoNotMeet(t *testing.T) {
	needRoot(t)
	var p Pool
	defer p.Close()
	seen := map[int]bool{}
	var leases []Lease
	for range 20 {
		lease, err := p.Take()
		if err != nil {
			t.Fatal(err)
		}
		if at := lease.IDs.First; seen[at] || at%Size != 0 || at < first || at+Size > end {
			t.Fatalf("range %#x was given before, or lies outside", at)
		}
		seen[lease.IDs.First] = true
		leases = append(leases, lease)
	}
	for _, lease := range leases {
		p.Give(lease)
	}
	if lease, err := p.Take(); err != nil || lease != leases[19] {
		t.Errorf("a range that came back is not given again: %v, %v", lease, err)
	} else {
		p.Give(lease)
	}
	p.made = (end - first) / Size
	p.free = nil
	if lease, err := p.Take(); err == nil {
		t.Errorf("beyond the last range there is %#x", lease.IDs.First)
	}
	p.free = leases
}

func TestViewReplacesPathsBelowItsSource(t *testing.T) {
	v := &View{source: "/data/images", dir: "/run/view"}
	for path, want := range map[string]string{
		"/data/images":      "/run/view",
		"/data/images/1/fs": "/run/view/1/fs",
		"/data/images2/fs":  "/data/images2/fs",
		"/etc/passwd":       "/etc/passwd",
	} {
		if got := v.Path(path); got != want {
			t.Errorf("%s is seen at %s, want %s", path, got, want)
		}
	}
	if got := v.option("lowerdir=/data/images/2/fs:/data/images/1/fs"); got != "lowerdir=/run/view/2/fs:/run/view/1/fs" {
		t.Error(got)
	}
	if none := (*View)(nil); none.Path("/x") != "/x" || filepath.Clean(none.Path("/y/")) != "/y" {
		t.Error("no view changes a path")
	}
}

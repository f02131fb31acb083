package upload

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/disk"
)

func open(t *testing.T) *Uploads {
	t.Helper()
	u, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func content(t *testing.T, u *Uploads, path string) string {
	t.Helper()
	f, err := u.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPut(t *testing.T) {
	u, path := open(t), New("MyRegistry")
	if name, ok := Registry(path); !ok || name != "myregistry" {
		t.Errorf("%s is of %q, %v", path, name, ok)
	}
	if u.Exists(path) {
		t.Error("it is there before it was written")
	}
	if err := u.Put(path, strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	if got := content(t, u, path); got != "hello" || !u.Exists(path) {
		t.Errorf("got %q", got)
	}
}

func TestBlocks(t *testing.T) {
	u, path := open(t), New("myregistry")
	for id, text := range map[string]string{"b": "world", "a": "hello "} {
		if err := u.PutBlock(path, id, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.PutBlockList(path, []string{"a", "nothing"}); !errors.Is(err, ErrNotFound) || u.Exists(path) {
		t.Errorf("a list with an unknown block: %v", err)
	}
	if err := u.PutBlockList(path, []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	if got := content(t, u, path); got != "hello world" {
		t.Errorf("got %q", got)
	}
}

// What was taken stays as it is, also if somebody was writing at the time, and goes when its
// time is over.
func TestTake(t *testing.T) {
	u, path := open(t), New("myregistry")
	if err := u.Take(path, "myregistry"); !errors.Is(err, ErrNotFound) {
		t.Errorf("before it is there: %v", err)
	}
	err := errors.Join(u.Put(path, strings.NewReader("mine")), u.PutBlock(path, "a", strings.NewReader("x")))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Take(path, "otherregistry"); !errors.Is(err, ErrNotFound) {
		t.Errorf("another registry's: %v", err)
	}
	for range 2 {
		if err := u.Take(path, "MyRegistry"); err != nil {
			t.Fatal(err)
		}
		for name, write := range map[string]func() error{
			"put":   func() error { return u.Put(path, strings.NewReader("another")) },
			"block": func() error { return u.PutBlock(path, "b", strings.NewReader("another")) },
			"list":  func() error { return u.PutBlockList(path, []string{"a"}) },
		} {
			if err := write(); !errors.Is(err, ErrTaken) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := u.write(u.file(path), strings.NewReader("late")); err != nil {
			t.Fatal(err)
		}
		if got := content(t, u, path); got != "mine" {
			t.Errorf("got %q", got)
		}
	}
	if err := u.Sweep(time.Now().Add(keepFor + time.Minute)); err != nil || u.Exists(path) {
		t.Errorf("it did not go: %v", err)
	}
}

// What is not the path of an upload names nothing.
func TestPaths(t *testing.T) {
	u := open(t)
	for _, path := range []string{"", "tasks-source", "tasks-source/../../x.tar.gz", "other/r/" + strings.Repeat("a", 36) + ".tar.gz",
		"tasks-source/r/../" + strings.Repeat("a", 36) + ".tar.gz", New("r") + "/x"} {
		if err := u.Put(path, strings.NewReader("x")); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", path, err)
		}
		if _, err := u.Open(path); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestSweep(t *testing.T) {
	u, path := open(t), New("myregistry")
	if err := u.Put(path, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := u.Sweep(now.Add(keepFor - time.Minute)); err != nil || !u.Exists(path) {
		t.Errorf("it went too early: %v", err)
	}
	if err := u.Sweep(now.Add(keepFor + time.Minute)); err != nil || u.Exists(path) {
		t.Errorf("it did not go: %v", err)
	}
}

// Blocks that are never put together have a bound in sum, and leave the reserve of the disk.
func TestBlocksAreBounded(t *testing.T) {
	u, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := New("r")
	if err := u.PutBlock(path, "one", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(u.block(path, "one"), MaxSize+1); err != nil { // of holes
		t.Fatal(err)
	}
	if err := u.PutBlock(path, "two", strings.NewReader("x")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("beyond the bound: %v", err)
	}
	if err := u.PutBlock(New("r"), "two", strings.NewReader("x")); err != nil {
		t.Errorf("another upload: %v", err)
	}
	u.Reserve = disk.New(t.TempDir(), 1<<62, slog.New(slog.DiscardHandler))
	if err := u.Put(New("r"), strings.NewReader("x")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
}

package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/engine"
)

// FuzzUnpack: whatever an archive has, nothing is written outside of its directory, and
// not more in it than was allowed.
func FuzzUnpack(f *testing.F) {
	link := func(name, to string, kind byte) tar.Header {
		return tar.Header{Name: name, Linkname: to, Typeflag: kind, Mode: 0o777}
	}
	file := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: 3}
	}
	for _, headers := range [][]tar.Header{
		{file("a/b")}, {file("../x")}, {file("/x")}, {file("a/../../x")},
		{link("l", "..", tar.TypeSymlink), file("l/x")}, {link("l", "/", tar.TypeSymlink), file("l/x")},
		{link("h", "../secret", tar.TypeLink)}, {link("l", "../secret", tar.TypeSymlink), link("h", "l", tar.TypeLink), file("h")},
		{{Name: "d", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}, {{Name: "a", Typeflag: tar.TypeDir, Mode: 0}, file("a")},
	} {
		plain := tarball(f, headers...)
		f.Add(plain)
		f.Add(zipped(f, plain))
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		const limit = 4096
		above := t.TempDir()
		secret := filepath.Join(above, "secret")
		if err := os.WriteFile(secret, []byte("unchanged"), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(above, "context")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = Unpack(bytes.NewReader(archive), dir, limit) // whether it is an archive is not the question
		entries, err := os.ReadDir(above)
		if err != nil || len(entries) != 2 {
			t.Errorf("beside the directory there are %v, %v", entries, err)
		}
		if text, err := os.ReadFile(secret); err != nil || string(text) != "unchanged" {
			t.Errorf("a file outside is %q, %v", text, err)
		}
		var size int64
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if info, statErr := os.Lstat(path); statErr == nil && info.Mode().IsRegular() {
				size += info.Size()
				outside, _ := os.Lstat(secret)
				if os.SameFile(info, outside) {
					t.Errorf("%s is the file outside", path)
				}
			}
			return err
		})
		if size > limit || err != nil && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%d bytes were written, %v", size, err)
		}
	})
}

// What is not written is bounded as well: much of an archive can be skipped and little of
// it compressed.
func TestSkippedContentIsBounded(t *testing.T) {
	defer func(n int) { maxEntries = n }(maxEntries)
	maxEntries = 10
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	// Readers skip what a type unknown to them has.
	if err := w.WriteHeader(&tar.Header{Name: "x", Typeflag: 'Z', Size: 64 << 20, Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, io.LimitReader(zeros{}, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	var failure engine.Failure
	if err := Unpack(&buf, t.TempDir(), 1<<20); !errors.As(err, &failure) || !strings.Contains(err.Error(), errTooLarge.Error()) {
		t.Errorf("got %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

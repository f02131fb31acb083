// Package blobtest has the suite that every blob.Store passes.
package blobtest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob"
)

// Run runs the suite. fresh is called once for each test and returns a function that
// opens an empty store, and then the same one anew, as another process does.
func Run(t *testing.T, fresh func(t *testing.T) (open func() blob.Store)) {
	tests := map[string]func(*testing.T, blob.Store){
		"content comes back":                 roundTrip,
		"empty content":                      empty,
		"sections":                           sections,
		"suspended and resumed":              resumed,
		"bytes beyond the state are dropped": cutOff,
		"the wrong digest":                   wrongDigest,
		"sha512":                             sha512,
		"an algorithm nobody has":            algorithm,
		"canceled":                           canceled,
		"canceled too late":                  canceledLate,
		"many begun, few that come to more":  manyCanceled,
		"a reader that fails":                failing,
		"keys are never used again":          freshKeys,
		"listed and deleted":                 listed,
		"keys that never were":               foreign,
		"deleted while read":                 deletedWhileRead,
		"many at once":                       concurrent,
		"a large one":                        large,
		"large ones that come to nothing":    largeNothing,
		"many small chunks":                  manyChunks,
		"a large one that was cut off":       largeCutOff,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)()) })
	}
	t.Run("resumed by another process", func(t *testing.T) { elsewhere(t, fresh(t)) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
}

// random is content that is the same each time.
func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p) // never fails
	return p
}

// write begins an upload of content.
func write(t *testing.T, s blob.Store, content []byte) blob.Upload {
	t.Helper()
	u, err := s.Start(t.Context())
	must(t, err)
	n, err := u.ReadFrom(bytes.NewReader(content))
	must(t, err)
	if n != int64(len(content)) || u.Size() != n {
		t.Fatalf("%d of %d bytes, size %d", n, len(content), u.Size())
	}
	return u
}

func commit(t *testing.T, s blob.Store, content []byte) blob.Key {
	t.Helper()
	key, err := write(t, s, content).Commit(t.Context(), digest.FromBytes(content))
	must(t, err)
	return key
}

func read(t *testing.T, s blob.Store, key blob.Key) []byte {
	t.Helper()
	b, err := s.Open(t.Context(), key)
	must(t, err)
	defer b.Close()
	return section(t, b, 0, b.Size())
}

func section(t *testing.T, b blob.Blob, offset, n int64) []byte {
	t.Helper()
	var buf bytes.Buffer
	copied, err := b.WriteTo(&buf, offset, n)
	must(t, err)
	if copied != n {
		t.Errorf("%d of %d bytes copied", copied, n)
	}
	return buf.Bytes()
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes that differ from the %d wanted", len(got), len(want))
	}
}

func keys(t *testing.T, s blob.Store) map[blob.Key]bool {
	t.Helper()
	all := map[blob.Key]bool{}
	for info, err := range s.List(t.Context()) {
		must(t, err)
		if info.Modified.IsZero() {
			t.Errorf("%s has no time", info.Key)
		}
		all[info.Key] = true
	}
	return all
}

func wantKeys(t *testing.T, s blob.Store, want ...blob.Key) {
	t.Helper()
	all := map[blob.Key]bool{}
	for _, key := range want {
		all[key] = true
	}
	if diff := cmp.Diff(all, keys(t, s)); diff != "" {
		t.Errorf("keys (-want +got)\n%s", diff)
	}
}

func roundTrip(t *testing.T, s blob.Store) {
	content := random(700_000)
	same(t, read(t, s, commit(t, s, content)), content)
}

func empty(t *testing.T, s blob.Store) {
	same(t, read(t, s, commit(t, s, nil)), nil)
}

func sections(t *testing.T, s blob.Store) {
	content := random(1000)
	b, err := s.Open(t.Context(), commit(t, s, content))
	must(t, err)
	defer b.Close()
	for _, at := range [][2]int64{{0, 1}, {999, 1}, {10, 500}, {0, 1000}, {500, 0}} {
		same(t, section(t, b, at[0], at[1]), content[at[0]:at[0]+at[1]])
	}
	p := make([]byte, 100)
	if n, err := b.ReadAt(p, 950); n != 50 || err != io.EOF {
		t.Errorf("reading over the end: %d bytes, %v", n, err)
	}
	same(t, p[:50], content[950:])
}

func resumed(t *testing.T, s blob.Store) {
	content := random(300_000)
	u, err := s.Start(t.Context())
	must(t, err)
	for _, part := range [][]byte{content[:1], content[1:200_000], nil, content[200_000:]} {
		_, err := u.ReadFrom(bytes.NewReader(part))
		must(t, err)
		state, err := u.Suspend()
		must(t, err)
		must(t, u.Cancel()) // does nothing any more
		u, err = s.Resume(t.Context(), state)
		must(t, err)
	}
	key, err := u.Commit(t.Context(), digest.FromBytes(content))
	must(t, err)
	same(t, read(t, s, key), content)
}

// A request wrote on and was killed before its state was kept: the next one goes on
// where the kept state is.
func cutOff(t *testing.T, s blob.Store) {
	u := write(t, s, []byte("kept "))
	state, err := u.Suspend()
	must(t, err)
	lost, err := s.Resume(t.Context(), state)
	must(t, err)
	_, err = lost.ReadFrom(strings.NewReader("lost, and much longer"))
	must(t, err)
	_, err = lost.Suspend()
	must(t, err)
	u, err = s.Resume(t.Context(), state)
	must(t, err)
	_, err = u.ReadFrom(strings.NewReader("for good"))
	must(t, err)
	key, err := u.Commit(t.Context(), digest.FromString("kept for good"))
	must(t, err)
	same(t, read(t, s, key), []byte("kept for good"))
}

func wrongDigest(t *testing.T, s blob.Store) {
	u := write(t, s, []byte("this"))
	_, err := u.Commit(t.Context(), digest.FromString("that"))
	is(t, err, blob.ErrDigest)
	must(t, u.Cancel())
	wantKeys(t, s)
}

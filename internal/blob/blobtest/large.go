package blobtest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob"
)

// many is more than any store sends at once: the largest tail, two parts and an end.
const many = 25_000_000

// onlyKey fails the test unless the store has one key, and it is this one, once.
func onlyKey(t *testing.T, s blob.Store, want blob.Key) {
	t.Helper()
	n := 0
	for info, err := range s.List(t.Context()) {
		must(t, err)
		if n++; info.Key != want {
			t.Errorf("there is %s", info.Key)
		}
	}
	if n != 1 {
		t.Errorf("there are %d things, want one", n)
	}
}

func elsewhere(t *testing.T, open func() blob.Store) {
	content := random(many)
	state, err := write(t, open(), content[:10]).Suspend()
	must(t, err)
	at := 10
	for _, end := range []int{4_000_000, 14_000_000, 14_000_001, many} {
		u, err := open().Resume(t.Context(), state)
		must(t, err)
		if u.Size() != int64(at) {
			t.Fatalf("it goes on at %d, want %d", u.Size(), at)
		}
		_, err = u.ReadFrom(bytes.NewReader(content[at:end]))
		must(t, err)
		state, err = u.Suspend()
		must(t, err)
		at = end
	}
	u, err := open().Resume(t.Context(), state)
	must(t, err)
	key, err := u.Commit(t.Context(), digest.FromBytes(content))
	must(t, err)
	same(t, read(t, open(), key), content)
	onlyKey(t, open(), key)
}

func concurrent(t *testing.T, s blob.Store) {
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			content := append(random(1_000_000*i), fmt.Sprint(i)...)
			u, err := s.Start(t.Context())
			if err == nil {
				_, err = u.ReadFrom(bytes.NewReader(content))
			}
			if err != nil {
				t.Error(err)
				return
			}
			key, err := u.Commit(t.Context(), digest.FromBytes(content))
			if err != nil {
				t.Error(err)
				return
			}
			b, err := s.Open(t.Context(), key)
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Close()
			same(t, section(t, b, 0, b.Size()), content)
		})
	}
	group.Wait()
}

func large(t *testing.T, s blob.Store) {
	content := random(many)
	key := commit(t, s, content)
	b, err := s.Open(t.Context(), key)
	must(t, err)
	defer b.Close()
	for _, at := range [][2]int64{{0, many}, {1, many - 1}, {8 << 20, 1}, {8<<20 - 1, 2}, {many - 5, 5}} {
		same(t, section(t, b, at[0], at[1]), content[at[0]:at[0]+at[1]])
	}
	onlyKey(t, s, key)
	must(t, s.Delete(t.Context(), key))
	wantKeys(t, s)
}

// What ends without a blob leaves nothing: a wrong digest, of either kind, a cancel, and
// a suspended one that is deleted, which can then not go on.
func largeNothing(t *testing.T, s blob.Store) {
	content := random(many)
	for _, want := range []digest.Digest{digest.FromString("other"), digest.SHA512.FromString("other")} {
		u := write(t, s, content)
		_, err := u.Commit(t.Context(), want)
		is(t, err, blob.ErrDigest)
		must(t, u.Cancel())
		wantKeys(t, s)
	}
	must(t, write(t, s, content).Cancel())
	wantKeys(t, s)
	state, err := write(t, s, content).Suspend()
	must(t, err)
	wantKeys(t, s, state.Key)
	must(t, s.Delete(t.Context(), state.Key))
	wantKeys(t, s)
	_, err = s.Resume(t.Context(), state)
	is(t, err, blob.ErrNotFound)
	key, err := write(t, s, content).Commit(t.Context(), digest.SHA512.FromBytes(content))
	must(t, err)
	same(t, read(t, s, key), content)
}

func manyChunks(t *testing.T, s blob.Store) {
	const chunks, size = 60, 100_000
	content := random(chunks * size)
	u, err := s.Start(t.Context())
	must(t, err)
	for i := range chunks {
		state, err := u.Suspend()
		must(t, err)
		u, err = s.Resume(t.Context(), state)
		must(t, err)
		_, err = u.ReadFrom(bytes.NewReader(content[i*size : (i+1)*size]))
		must(t, err)
	}
	key, err := u.Commit(t.Context(), digest.FromBytes(content))
	must(t, err)
	same(t, read(t, s, key), content)
	onlyKey(t, s, key)
}

// As in cutOff, but what is lost has begun parts of its own.
func largeCutOff(t *testing.T, s blob.Store) {
	content, other := random(many), bytes.Repeat([]byte("other"), many/5)
	for _, kept := range []int{5, 12_000_000} {
		state, err := write(t, s, content[:kept]).Suspend()
		must(t, err)
		lost, err := s.Resume(t.Context(), state)
		must(t, err)
		_, err = lost.ReadFrom(bytes.NewReader(other))
		must(t, err)
		_, err = lost.Suspend()
		must(t, err)
		u, err := s.Resume(t.Context(), state)
		must(t, err)
		_, err = u.ReadFrom(bytes.NewReader(content[kept:]))
		must(t, err)
		key, err := u.Commit(t.Context(), digest.FromBytes(content))
		must(t, err)
		same(t, read(t, s, key), content)
		onlyKey(t, s, key)
		must(t, s.Delete(t.Context(), key))
	}
}

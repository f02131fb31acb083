package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/acrux/acrux/internal/blob"
)

func sha512(t *testing.T, s blob.Store) {
	content := random(300_000)
	state, err := write(t, s, content).Suspend()
	must(t, err)
	u, err := s.Resume(t.Context(), state)
	must(t, err)
	key, err := u.Commit(t.Context(), digest.SHA512.FromBytes(content))
	must(t, err)
	same(t, read(t, s, key), content)
	u = write(t, s, content)
	_, err = u.Commit(t.Context(), digest.SHA512.FromString("other"))
	is(t, err, blob.ErrDigest)
	must(t, u.Cancel())
}

func algorithm(t *testing.T, s blob.Store) {
	u := write(t, s, []byte("x"))
	_, err := u.Commit(t.Context(), digest.SHA384.FromString("x"))
	is(t, err, blob.ErrDigest)
	must(t, u.Cancel())
}

func canceled(t *testing.T, s blob.Store) {
	u := write(t, s, []byte("x"))
	must(t, u.Cancel())
	must(t, u.Cancel())
	wantKeys(t, s)
}

func canceledLate(t *testing.T, s blob.Store) {
	u := write(t, s, []byte("x"))
	key, err := u.Commit(t.Context(), digest.FromString("x"))
	must(t, err)
	must(t, u.Cancel())
	same(t, read(t, s, key), []byte("x"))
}

// What goes with an upload that is canceled is not what another needs.
func manyCanceled(t *testing.T, s blob.Store) {
	var group errgroup.Group
	for range 3 {
		group.Go(func() error {
			for range 200 {
				if err := suspendAndCancel(t.Context(), s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, group.Wait())
	wantKeys(t, s)
}

func suspendAndCancel(ctx context.Context, s blob.Store) error {
	u, err := s.Start(ctx)
	if err != nil {
		return err
	}
	if _, err := u.ReadFrom(strings.NewReader("x")); err != nil {
		return err
	}
	state, err := u.Suspend()
	if err != nil {
		return err
	}
	if u, err = s.Resume(ctx, state); err != nil {
		return err
	}
	return u.Cancel()
}

func failing(t *testing.T, s blob.Store) {
	u := write(t, s, []byte("before "))
	gone := errors.New("the client is gone")
	_, err := u.ReadFrom(io.MultiReader(strings.NewReader("half"), broken{gone}))
	is(t, err, gone)
	state, err := u.Suspend()
	must(t, err)
	if state.Size != int64(len("before half")) {
		t.Errorf("%d bytes were kept", state.Size)
	}
	u, err = s.Resume(t.Context(), state)
	must(t, err)
	_, err = u.Commit(t.Context(), digest.FromString("before half"))
	must(t, err)
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func freshKeys(t *testing.T, s blob.Store) {
	seen := map[blob.Key]bool{}
	for range 50 {
		key := commit(t, s, []byte("always the same"))
		if seen[key] {
			t.Fatalf("the key %s came twice", key)
		}
		seen[key] = true
		must(t, s.Delete(t.Context(), key))
	}
}

func listed(t *testing.T, s blob.Store) {
	a, b := commit(t, s, []byte("a")), commit(t, s, []byte("b"))
	state, err := write(t, s, []byte("c")).Suspend()
	must(t, err)
	wantKeys(t, s, a, b, state.Key)
	must(t, s.Delete(t.Context(), a))
	must(t, s.Delete(t.Context(), a)) // once more is no error
	must(t, s.Delete(t.Context(), state.Key))
	wantKeys(t, s, b)
	_, err = s.Open(t.Context(), a)
	is(t, err, blob.ErrNotFound)
	_, err = s.Resume(t.Context(), state)
	is(t, err, blob.ErrNotFound)
	for range s.List(t.Context()) {
		break // a caller may stop
	}
}

func foreign(t *testing.T, s blob.Store) {
	state, err := write(t, s, []byte("on its way")).Suspend()
	must(t, err)
	for _, key := range []blob.Key{"", "x", "../../etc/passwd", "00", "00000000000000000000000000000000", "0000000000000000000000000000000g", state.Key} {
		_, err := s.Open(t.Context(), key)
		is(t, err, blob.ErrNotFound)
		if key != state.Key {
			_, err = s.Resume(t.Context(), blob.State{Key: key, Hash: state.Hash})
			is(t, err, blob.ErrNotFound)
			must(t, s.Delete(t.Context(), key))
		}
	}
	wantKeys(t, s, state.Key)
}

// A download that has begun goes on to its end.
func deletedWhileRead(t *testing.T, s blob.Store) {
	content := random(3_000_000)
	key := commit(t, s, content)
	b, err := s.Open(t.Context(), key)
	must(t, err)
	defer b.Close()
	var buf bytes.Buffer
	w := &interrupted{Writer: &buf, act: func() { must(t, s.Delete(t.Context(), key)) }}
	if _, err := b.WriteTo(w, 0, b.Size()); err != nil {
		t.Error(err)
	}
	same(t, buf.Bytes(), content)
	_, err = s.Open(t.Context(), key)
	is(t, err, blob.ErrNotFound)
}

// interrupted acts once, before the first write.
type interrupted struct {
	io.Writer
	act func()
}

func (w *interrupted) Write(p []byte) (int, error) {
	if w.act != nil {
		w.act()
		w.act = nil
	}
	return w.Writer.Write(p)
}

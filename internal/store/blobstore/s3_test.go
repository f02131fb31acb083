package blobstore_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/blob/blobtest"
	"github.com/acrux/acrux/internal/store/blobstore"
)

func openS3(t *testing.T, server *blobtest.S3Server, url string) *blobstore.S3 {
	t.Helper()
	s, err := blobstore.OpenS3(t.Context(), url, server.Getenv)
	must(t, err)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestS3(t *testing.T) {
	server := blobtest.StartS3(t)
	blobtest.Run(t, func(t *testing.T) func() blob.Store {
		url := server.Bucket(t)
		return func() blob.Store { return openS3(t, server, url) }
	})
	t.Run("in a folder", func(t *testing.T) { inFolder(t, server) })
	t.Run("one upload, two servers", func(t *testing.T) { twoServers(t, server) })
	t.Run("signed URLs", func(t *testing.T) { presigned(t, server) })
	t.Run("what cannot be opened", func(t *testing.T) { unopened(t, server) })
	t.Run("a server that is gone", func(t *testing.T) { gone(t, server) })
}

func put(t *testing.T, s blob.Store, content string) blob.Key {
	t.Helper()
	u, err := s.Start(t.Context())
	must(t, err)
	_, err = u.ReadFrom(strings.NewReader(content))
	must(t, err)
	key, err := u.Commit(t.Context(), digest.FromString(content))
	must(t, err)
	return key
}

// Two installations share a bucket and do not see each other.
func inFolder(t *testing.T, server *blobtest.S3Server) {
	url := server.Bucket(t)
	bucket, query, _ := strings.Cut(url, "?")
	a, b := openS3(t, server, bucket+"/some/where/?"+query), openS3(t, server, bucket+"/b?"+query)
	key := put(t, a, "a")
	if _, err := b.Open(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the other sees it: %v", err)
	}
	for info := range b.List(t.Context()) {
		t.Errorf("the other lists %s", info.Key)
	}
	names, err := server.Names(t.Context(), url)
	must(t, err)
	if !slices.Equal(names, []string{"some/where/b/" + string(key)}) {
		t.Errorf("the bucket has %q", names)
	}
}

// Two servers that go on with one upload at once cannot change what the other one made of
// it, nor take it away.
func twoServers(t *testing.T, server *blobtest.S3Server) {
	s := openS3(t, server, server.Bucket(t))
	for _, size := range []int{0, 5, 9 << 20} {
		u, err := s.Start(t.Context())
		must(t, err)
		begun := strings.Repeat("x", size)
		_, err = u.ReadFrom(strings.NewReader(begun))
		must(t, err)
		state, err := u.Suspend()
		must(t, err)
		one, err := s.Resume(t.Context(), state)
		must(t, err)
		two, err := s.Resume(t.Context(), state)
		must(t, err)
		_, err = one.ReadFrom(strings.NewReader("one"))
		must(t, err)
		_, err = two.ReadFrom(strings.NewReader("two"))
		must(t, err)
		key, err := one.Commit(t.Context(), digest.FromString(begun+"one"))
		must(t, err)
		if other, err := two.Commit(t.Context(), digest.FromString(begun+"two")); err == nil {
			must(t, s.Delete(t.Context(), other)) // its row is refused
		}
		b, err := s.Open(t.Context(), key)
		must(t, err)
		var text strings.Builder
		_, err = b.WriteTo(&text, 0, b.Size())
		must(t, err)
		if text.String() != begun+"one" {
			t.Errorf("after %d bytes: the content is another one's", size)
		}
	}
}

func presigned(t *testing.T, server *blobtest.S3Server) {
	s := openS3(t, server, server.Bucket(t))
	url, err := s.Presign(t.Context(), put(t, s, "hello"), time.Minute)
	must(t, err)
	if strings.Contains(url, server.Getenv("ACRUX_S3_SECRET_KEY")) {
		t.Error("the URL has the secret key in it")
	}
	get := func(url, span string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		must(t, err)
		if span != "" {
			req.Header.Set("Range", span)
		}
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer res.Body.Close()
		if encoding := res.Header.Get("Content-Encoding"); encoding != "" {
			t.Errorf("the content is said to be encoded: %s", encoding)
		}
		body, err := io.ReadAll(res.Body)
		must(t, err)
		return res.StatusCode, string(body)
	}
	if status, body := get(url, ""); status != 200 || body != "hello" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := get(url, "bytes=1-2"); status != 206 || body != "el" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := get(strings.Replace(url, "X-Amz-Expires=60", "X-Amz-Expires=6000", 1), ""); status != 403 {
		t.Errorf("with a longer life: %d %s", status, body)
	}
	_, err = s.Presign(t.Context(), "../x", time.Minute)
	if !errors.Is(err, blob.ErrNotFound) {
		t.Error(err)
	}
}

func unopened(t *testing.T, server *blobtest.S3Server) {
	good := server.Bucket(t)
	_, query, _ := strings.Cut(good, "?")
	for name, test := range map[string]struct {
		url, want string
		getenv    func(string) string
	}{
		"another scheme":     {"http://bucket", "s3://BUCKET", server.Getenv},
		"no bucket":          {"s3://?" + query, "s3://BUCKET", server.Getenv},
		"keys in the URL":    {"s3://key:secret@bucket?" + query, "s3://BUCKET", server.Getenv},
		"an unknown bucket":  {"s3://nobody?" + query, "no such bucket", server.Getenv},
		"a bad endpoint":     {"s3://bucket?endpoint=ftp://x", "http or https", server.Getenv},
		"keys as parameters": {good + "&secret=wrong-secret", "endpoint and region", server.Getenv},
		"no keys":            {good, "ACRUX_S3_ACCESS_KEY", func(string) string { return "" }},
		"the wrong secret": {good, "bucket-", func(name string) string {
			return map[string]string{"ACRUX_S3_ACCESS_KEY": "acrux-test", "ACRUX_S3_SECRET_KEY": "wrong-secret"}[name]
		}},
		"AWS's names, wrong": {good, "bucket-", func(name string) string {
			return map[string]string{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "wrong-secret"}[name]
		}},
		"half of a key":       {good, "ACRUX_S3_ACCESS_KEY", func(name string) string { return map[string]string{"ACRUX_S3_ACCESS_KEY": "x"}[name] }},
		"nobody at that port": {"s3://bucket?endpoint=http://127.0.0.1:1", "127.0.0.1:1", server.Getenv},
	} {
		_, err := blobstore.OpenS3(t.Context(), test.url, test.getenv)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret@") || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	aws := func(name string) string {
		return server.Getenv(map[string]string{"AWS_ACCESS_KEY_ID": "ACRUX_S3_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY": "ACRUX_S3_SECRET_KEY"}[name])
	}
	_, err := blobstore.OpenS3(t.Context(), good, aws)
	must(t, err)
}

// An object store that does not answer is a fault and no missing blob.
func gone(t *testing.T, server *blobtest.S3Server) {
	s := openS3(t, server, server.Bucket(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Open(ctx, put(t, s, "x"))
	if err == nil || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the error is %v", err)
	}
}

// A store that has no space left says so, for a small upload, for a large one, and for one
// that is suspended.
func TestS3Full(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead:
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodGet && r.URL.Query().Has("uploads"):
			_, _ = io.WriteString(w, "<ListMultipartUploadsResult></ListMultipartUploadsResult>")
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, "<ListBucketResult></ListBucketResult>")
		case r.Method == http.MethodPost && r.URL.Query().Has("uploads"):
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
		default:
			w.WriteHeader(http.StatusInsufficientStorage)
			_, _ = io.WriteString(w, "<Error><Code>XMinioStorageFull</Code></Error>")
		}
	}))
	defer server.Close()
	s, err := blobstore.OpenS3(t.Context(), "s3://bucket?endpoint="+server.URL, func(string) string { return "key" })
	must(t, err)
	for _, size := range []int{5, 20 << 20} {
		content := strings.Repeat("x", size)
		for _, end := range []func(blob.Upload) error{
			func(u blob.Upload) error { _, err := u.Commit(t.Context(), digest.FromString(content)); return err },
			func(u blob.Upload) error { _, err := u.Suspend(); return err },
		} {
			u, err := s.Start(t.Context())
			must(t, err)
			_, err = u.ReadFrom(strings.NewReader(content))
			if size > 16<<20 && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("reading %d bytes: %v", size, err)
			}
			if err := end(u); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("the end of %d bytes: %v", size, err)
			}
			must(t, u.Cancel())
		}
	}
}

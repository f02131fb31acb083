package blobtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Server is an object store on loopback that keeps its buckets in a directory. It
// judges signatures and the sizes of parts as others do.
type S3Server struct {
	Address string // HOST:PORT
	Dir     string

	buckets int
	client  *minio.Client
}

// The account of an S3Server.
const (
	accessKey = "acrux-test"
	secretKey = "acrux-test-secret"
)

// StartS3 builds the server that tools/s3/go.mod pins and runs it until the test ends.
// The first build on a machine takes about a minute.
func StartS3(t *testing.T) *S3Server {
	t.Helper()
	if testing.Short() {
		t.Skip("building and running an object store takes longer than a short test may")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // for a free port
	must(t, err)
	s := &S3Server{Address: listener.Addr().String(), Dir: t.TempDir()}
	must(t, listener.Close())
	cmd := exec.Command(program(t), "--port", s.Address, "--quiet", "posix", s.Dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // it was killed
	s.client, err = minio.New(s.Address, &minio.Options{Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: "us-east-1"})
	must(t, err)
	s.await(t)
	return s
}

// program builds the server, which the compiler's cache keeps.
func program(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	must(t, err)
	root := filepath.Dir(strings.TrimSpace(string(out)))
	for !exists(filepath.Join(root, "tools", "s3", "go.mod")) { // a test of a module further down
		if root == filepath.Dir(root) {
			t.Fatal("tools/s3/go.mod is nowhere above this package")
		}
		root = filepath.Dir(root)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-n", "-modfile=tools/s3/go.mod", "versitygw")
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if out, err = cmd.Output(); err != nil {
		t.Fatalf("building the object store: %v: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (s *S3Server) await(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.Address)
		if err == nil {
			must(t, conn.Close())
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the object store does not listen")
		}
	}
}

// Bucket makes a bucket and returns the URL of a blob store in it.
func (s *S3Server) Bucket(t *testing.T) string {
	t.Helper()
	s.buckets++
	name := fmt.Sprintf("bucket-%d", s.buckets)
	must(t, s.client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}))
	return "s3://" + name + "?endpoint=http://" + s.Address + "&region=us-east-1"
}

// Names are the objects of a bucket that Bucket made, and its unfinished uploads.
func (s *S3Server) Names(ctx context.Context, url string) (names []string, err error) {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(url, "s3://"), "?")
	for object := range s.client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return nil, object.Err
		}
		names = append(names, object.Key)
	}
	uploads, err := minio.Core{Client: s.client}.ListMultipartUploads(ctx, bucket, "", "", "", "", 1000)
	for _, upload := range uploads.Uploads {
		names = append(names, upload.Key+" (unfinished)")
	}
	return names, err
}

// Getenv is an environment with the account of the server.
func (s *S3Server) Getenv(name string) string {
	return map[string]string{"ACRUX_S3_ACCESS_KEY": accessKey, "ACRUX_S3_SECRET_KEY": secretKey}[name]
}

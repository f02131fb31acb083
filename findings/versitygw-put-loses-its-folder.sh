#!/usr/bin/env bash
# versitygw, github.com/versity/versitygw v1.8.0, with its "posix" back end, and two clients
# (github.com/minio/minio-go/v7 v7.4.1) that use keys of their own below one prefix.
#
# Guess: an object store has no folders. Clients whose keys differ do not disturb each other,
#        whatever slashes the keys have.
# Is:    a folder that has become empty is removed with the object that was in it, up to the
#        bucket. A PUT makes its folders one after the other, so the upper one may be gone when
#        it makes the lower one. Then a valid PUT of a key that nobody else uses fails with
#        ExistingObjectIsDirectory, and status 409, which no client takes for passing. With a
#        prefix of one level ("t/NAME") it makes the folder anew and tries again.
#
# Seen on Linux 6.18, ext4, 2 processors; the numbers differ each time, what is 0 does not:
#   keys t/A|B/0: 117 of 4000 puts failed: 409 ExistingObjectIsDirectory
#   keys t-A|B-0: 0 of 4000 puts failed
set -eu
dir=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
server=
cd "$dir"
GOBIN=$dir go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
mkdir client objects
cat > client/go.mod <<'MOD'
module finding
go 1.25
require github.com/minio/minio-go/v7 v7.4.1
MOD
cat > client/main.go <<'GO'
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

var ctx = context.Background()

const (
	bucket = "bucket"
	rounds = 2000
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// client puts objects of its own and deletes each before the next. It returns how many puts
// failed, and the last error.
func client(s3 *minio.Client, key func(int) string) (failed int, last error) {
	for i := range rounds {
		_, err := s3.PutObject(ctx, bucket, key(i), bytes.NewReader([]byte("x")), 1, minio.PutObjectOptions{})
		if err != nil {
			failed, last = failed+1, err
		}
		must(s3.RemoveObject(ctx, bucket, key(i), minio.RemoveObjectOptions{}))
	}
	return failed, last
}

// both runs two clients at once.
func both(s3 *minio.Client, format string) (failed int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var last error
	for _, name := range []string{"A", "B"} {
		all.Go(func() {
			n, err := client(s3, func(i int) string { return fmt.Sprintf(format, name, i) })
			mu.Lock()
			defer mu.Unlock()
			failed += n
			if err != nil {
				last = err
			}
		})
	}
	all.Wait()
	fmt.Printf("keys "+format+": %d of %d puts failed", "A|B", 0, failed, 2*rounds)
	if last != nil {
		answer := minio.ToErrorResponse(last)
		fmt.Printf(": %d %s", answer.StatusCode, answer.Code)
	}
	fmt.Println()
	return failed
}

func main() {
	s3, err := minio.New(os.Args[1], &minio.Options{Creds: credentials.NewStaticV4("finding", "finding-secret", ""), Region: "us-east-1"})
	must(err)
	must(s3.MakeBucket(ctx, bucket, minio.MakeBucketOptions{}))
	nested, flat := both(s3, "t/%s/%d"), both(s3, "t-%s-%d")
	if nested == 0 || flat != 0 {
		fmt.Println("CHANGED")
		os.Exit(1)
	}
}
GO
(cd client && GOFLAGS=-mod=mod go build -o ../finding .)
ROOT_ACCESS_KEY=finding ROOT_SECRET_KEY=finding-secret ./versitygw --port 127.0.0.1:17070 --quiet posix objects &
server=$!
until (: < /dev/tcp/127.0.0.1/17070) 2>/dev/null; do sleep 0.1; done
./finding 127.0.0.1:17070

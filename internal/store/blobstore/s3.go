package blobstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/acrux/acrux/internal/blob"
)

// S3 is a Store in a bucket of an object store that speaks S3. Content lies under
// b/KEY; what an upload has beyond whole parts when it is suspended lies under
// t/KEY/NUMBER until the upload ends.
//
// An object is there when its upload is complete, and nobody knows its key before. What
// a crash leaves behind is an unfinished multipart upload, a tail, or an object without
// metadata: List yields the keys of all of these, and Delete removes them.
type S3 struct {
	core   minio.Core
	bucket string
	prefix string // of all names in the bucket; empty or with a slash at its end
	look   string // for the log, when the store is away
}

var (
	_ blob.Store     = (*S3)(nil)
	_ blob.Presigner = (*S3)(nil)
)

// attempts bounds how often a request to the object store is tried, see s3_patience.go.
const attempts = 5

// OpenS3 returns the store that a URL names,
//
//	s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION&stall=15s
//
// stall is how long the store may be silent when something is waited for.
// signed in with ACRUX_S3_ACCESS_KEY and ACRUX_S3_SECRET_KEY of the environment, or the
// names that AWS gives them. Without an endpoint it is AWS. The bucket must be there.
func OpenS3(ctx context.Context, text string, getenv func(string) string) (*S3, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil {
		return nil, errors.New("the URL of a blob store is s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION") // not with the URL: it may hold secrets
	}
	client, err := connectS3(u.Query(), getenv)
	if err != nil {
		return nil, fmt.Errorf("the blob store: %w", err)
	}
	s := &S3{core: minio.Core{Client: client}, bucket: u.Host,
		look: fmt.Sprintf("does the object store at %s answer, and how fast? (bucket %s)",
			client.EndpointURL().Host, u.Host)}
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		s.prefix = prefix + "/"
	}
	found, err := client.BucketExists(ctx, s.bucket)
	if err == nil && !found {
		err = errors.New("there is no such bucket; make it first")
	}
	if err != nil {
		return nil, fmt.Errorf("the bucket %s at %s: %w", s.bucket, client.EndpointURL().Host, err)
	}
	return s, nil
}

func connectS3(query url.Values, getenv func(string) string) (*minio.Client, error) {
	for name := range query {
		if name != "endpoint" && name != "region" && name != "stall" {
			return nil, fmt.Errorf("an S3 URL has the parameters endpoint and region, and stall, not %q", name)
		}
	}
	stall := usualStall
	if text := query.Get("stall"); text != "" {
		var err error
		if stall, err = time.ParseDuration(text); err != nil || stall <= 0 {
			return nil, fmt.Errorf("stall=%q of an S3 URL is no time like 15s", text)
		}
	}
	region, endpoint := query.Get("region"), query.Get("endpoint")
	if region == "" {
		region = "us-east-1"
	}
	if endpoint == "" {
		endpoint = "https://s3." + region + ".amazonaws.com"
	}
	at, err := url.Parse(endpoint)
	if err != nil || at.Host == "" || at.User != nil || at.Scheme != "http" && at.Scheme != "https" {
		return nil, errors.New("the endpoint of an S3 URL is an http or https URL")
	}
	key, secret := getenv("ACRUX_S3_ACCESS_KEY"), getenv("ACRUX_S3_SECRET_KEY")
	session := ""
	if key == "" {
		key, secret, session = getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN")
	}
	if key == "" || secret == "" {
		return nil, errors.New("set ACRUX_S3_ACCESS_KEY and ACRUX_S3_SECRET_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	transport, err := minio.DefaultTransport(at.Scheme == "https")
	if err != nil {
		return nil, err
	}
	transport.TLSNextProto = nil        // HTTP/1.1: large bodies do not share a connection
	transport.ResponseHeaderTimeout = 0 // see watched
	transport.DialContext = (&net.Dialer{Timeout: min(stall, 5*time.Second), KeepAlive: 30 * time.Second}).DialContext
	return minio.New(at.Host, &minio.Options{Creds: credentials.NewStaticV4(key, secret, session), Secure: at.Scheme == "https", Region: region,
		Transport: watched{transport, stall}, MaxRetries: attempts})
}

func (s *S3) object(key blob.Key) string { return s.prefix + "b/" + string(key) }

// tails is how the names begin of what uploads of a key keep for later. It has no slash: a
// store that keeps objects in directories takes those that are empty away, and with them
// sometimes what another upload is about to have (versitygw 1.8.0).
func (s *S3) tails(key blob.Key) string { return s.prefix + "t-" + string(key) + "-" }

// missing reports whether the object store says that there is no such thing.
func missing(err error) bool {
	switch minio.ToErrorResponse(err).Code {
	case "NoSuchKey", "NoSuchUpload", "NotFound":
		return true
	}
	return false
}

// Start implements Store. Nothing is in the bucket before there is content.
func (s *S3) Start(ctx context.Context) (blob.Upload, error) {
	return newS3Upload(ctx, s, newKey()), nil
}

// Resume implements Store. An upload whose parts or tail are gone cannot go on.
func (s *S3) Resume(ctx context.Context, state blob.State) (blob.Upload, error) {
	if !validKey(state.Key) || state.Parts == "" {
		return nil, blob.ErrNotFound
	}
	u := newS3Upload(ctx, s, state.Key)
	u.resumed, u.size = true, state.Size
	if err := json.Unmarshal([]byte(state.Parts), &u.parts); err != nil {
		return nil, fmt.Errorf("resuming an upload: %w", err)
	}
	if err := restoreHash(u.hash, state.Hash); err != nil {
		return nil, err
	}
	if err := u.check(); missing(err) {
		return nil, blob.ErrNotFound
	} else if err != nil {
		return nil, s.failed(u.ctx, "resuming an upload", err)
	}
	return u, nil
}

// Open implements Store.
func (s *S3) Open(ctx context.Context, key blob.Key) (blob.Blob, error) {
	if !validKey(key) {
		return nil, blob.ErrNotFound
	}
	ctx = patient(ctx)
	info, err := s.core.StatObject(ctx, s.bucket, s.object(key), minio.StatObjectOptions{})
	if missing(err) {
		return nil, blob.ErrNotFound
	}
	if err != nil {
		return nil, s.failed(ctx, "opening a blob", err)
	}
	return &s3Blob{ctx: ctx, store: s, name: s.object(key), size: info.Size}, nil
}

// MinChunk implements Store: what is smaller is stored twice.
func (s *S3) MinChunk() int64 { return minPart }

// Presign implements Presigner.
func (s *S3) Presign(ctx context.Context, key blob.Key, lifetime time.Duration) (string, error) {
	if !validKey(key) {
		return "", blob.ErrNotFound
	}
	u, err := s.core.PresignedGetObject(ctx, s.bucket, s.object(key), lifetime, url.Values{"response-content-type": {"application/octet-stream"}})
	if err != nil {
		return "", fmt.Errorf("signing the URL of a blob: %w", err)
	}
	return u.String(), nil
}

// Delete implements Store: content, tails, and unfinished uploads.
func (s *S3) Delete(ctx context.Context, key blob.Key) error {
	if !validKey(key) {
		return nil
	}
	ctx = patient(ctx)
	err := s.core.RemoveObject(ctx, s.bucket, s.object(key), minio.RemoveObjectOptions{})
	if missing(err) {
		err = nil
	}
	return s.failed(ctx, "deleting a blob", errors.Join(err, s.removeRest(ctx, key)))
}

// removeRest removes what belongs to uploads of the key: tails and parts.
func (s *S3) removeRest(ctx context.Context, key blob.Key) error {
	for tail := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.tails(key), Recursive: true}) {
		if tail.Err != nil {
			return tail.Err
		}
		if err := s.core.RemoveObject(ctx, s.bucket, tail.Key, minio.RemoveObjectOptions{}); err != nil && !missing(err) {
			return err
		}
	}
	for upload, err := range s.unfinished(ctx, s.object(key)) {
		if err != nil {
			return err
		}
		if err := s.core.AbortMultipartUpload(ctx, s.bucket, upload.Key, upload.UploadID); err != nil && !missing(err) {
			return err
		}
	}
	return nil
}

// unfinished yields the multipart uploads whose object's name begins with prefix.
func (s *S3) unfinished(ctx context.Context, prefix string) iter.Seq2[minio.ObjectMultipartInfo, error] {
	return func(yield func(minio.ObjectMultipartInfo, error) bool) {
		key, id := "", ""
		for {
			page, err := s.core.ListMultipartUploads(ctx, s.bucket, prefix, key, id, "", 0)
			if err != nil {
				yield(minio.ObjectMultipartInfo{}, err)
				return
			}
			for _, upload := range page.Uploads {
				if !yield(upload, nil) {
					return
				}
			}
			if !page.IsTruncated {
				return
			}
			key, id = page.NextKeyMarker, page.NextUploadIDMarker
		}
	}
}

// List implements Store. The key of an upload comes once for each thing it has.
func (s *S3) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for _, kind := range []string{"b/", "t-"} {
			for object := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + kind, Recursive: true}) {
				key, _, _ := strings.Cut(strings.TrimPrefix(object.Key, s.prefix+kind), "-")
				err := s.failed(ctx, "listing blobs", object.Err)
				if !yield(blob.Info{Key: blob.Key(key), Modified: object.LastModified}, err) || err != nil {
					return
				}
			}
		}
		for upload, err := range s.unfinished(ctx, s.prefix+"b/") {
			key := strings.TrimPrefix(upload.Key, s.prefix+"b/")
			err = s.failed(ctx, "listing blobs", err)
			if !yield(blob.Info{Key: blob.Key(key), Modified: upload.Initiated}, err) || err != nil {
				return
			}
		}
	}
}

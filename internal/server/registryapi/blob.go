package registryapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/server/edge"
)

func parseDigest(text string) (digest.Digest, error) {
	d := digest.Digest(text)
	if err := d.Validate(); err != nil {
		return d, problem.New(problem.Invalid, "DIGEST_INVALID", "invalid digest %q", text).On(text).Because(err)
	}
	return d, nil
}

// immutable says that a blob may be kept for a year.
const immutable = "max-age=31536000"

// getBlob serves a blob, whole or in part, from the file to the socket.
func (c *call) getBlob() error {
	d, err := parseDigest(c.req.Reference)
	if err != nil {
		return err
	}
	b, err := c.findBlob(d)
	if err != nil {
		return err
	}
	head, etag := c.w.Header(), entityTag(d)
	head.Set("Docker-Content-Digest", d.String())
	head.Set("ETag", etag)
	if c.unchanged(etag) {
		head.Set("Cache-Control", immutable)
		return c.notModified()
	}
	head.Set("Accept-Ranges", "bytes")
	spans, err := c.ranges(b.Size, etag)
	if err != nil {
		return err
	}
	head.Set("Cache-Control", immutable)
	head.Set("Content-Type", "application/octet-stream")
	if c.Method == http.MethodHead {
		head.Set("Content-Length", strconv.FormatInt(b.Size, 10))
		c.w.WriteHeader(http.StatusOK)
		return nil
	}
	if !strings.Contains(c.Header.Get("Range"), ",") { // few stores know several ranges at once
		url, err := c.server.Content.BlobURL(c.Context(), b)
		if err != nil || url != "" {
			return c.redirectBlob(url, err)
		}
	}
	return c.sendBlob(b, spans)
}

func (c *call) findBlob(d digest.Digest) (registry.Blob, error) {
	if c.Method == http.MethodHead {
		return c.server.Content.HeadBlob(c.Context(), c.repository(), d, c.now)
	}
	return c.server.Content.PullBlob(c.Context(), c.repository(), d)
}

// redirectBlob sends the client to the blob store, with the range it asked for. The URL is
// as good as a token for this blob and is kept by nobody.
func (c *call) redirectBlob(url string, err error) error {
	if err != nil {
		return err
	}
	head := c.w.Header()
	head.Set("Cache-Control", "no-store")
	head.Del("Content-Range")
	c.location(url)
	c.w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

func (c *call) deleteBlob() error {
	d, err := parseDigest(c.req.Reference)
	if err != nil {
		return err
	}
	if err := c.server.Content.UnlinkBlob(c.Context(), c.repository(), d); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// location is relative, as ACR's are: its SDK for Go takes no others.
func (c *call) location(path string) { c.w.Header().Set("Location", path) }

func (c *call) blobCreated(d digest.Digest) {
	c.location("/v2/" + c.req.Repository + "/blobs/" + d.String())
	c.w.Header().Set("Docker-Content-Digest", d.String())
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusCreated)
}

// startUpload begins an upload, unless the request mounts a blob or brings it whole.
func (c *call) startUpload() error {
	q := c.URL.Query()
	if mount := q.Get("mount"); mount != "" {
		mounted, err := c.mount(mount, q.Get("from"))
		if err != nil || mounted {
			return err
		}
	}
	if whole := q.Get("digest"); whole != "" {
		d, err := parseDigest(whole)
		if err != nil {
			return err
		}
		if _, err := c.server.Content.AddBlob(c.Context(), c.repository(), c.Body, d, c.now); err != nil {
			return c.uploadError(err)
		}
		c.blobCreated(d)
		return nil
	}
	u, err := c.server.Content.StartUpload(c.Context(), c.repository(), c.now)
	if err != nil {
		return err
	}
	if least := c.server.Content.Blobs.MinChunk(); least > 0 {
		c.w.Header().Set("OCI-Chunk-Min-Length", strconv.FormatInt(least, 10))
	}
	return c.uploadAccepted(u)
}

// mount links a blob of another repository of this registry, which the request may
// leave to us to find, if the caller may pull there. Whatever the reason why not, the
// answer is the same as for a blob that is not there: an upload begins. Only a token
// that covers less than its owner may do is sent back for more, as to one repository.
func (c *call) mount(text, from string) (bool, error) {
	d, err := parseDigest(text)
	if err != nil {
		return false, err
	}
	source, found, err := c.server.Content.Holder(c.Context(), registry.Name{Registry: c.name, Repository: from}, d)
	if err != nil || !found {
		return false, err
	}
	if denied := c.check(c.subject, oci.Pull, source.Repository); denied != nil {
		return false, nil
	}
	if need := oci.RepositoryAccess(source.Repository, oci.Pull); c.granted != nil && !covered(c.granted, need) {
		if from == "" {
			return false, nil // nobody can ask for what he does not name
		}
		return false, c.challenge("insufficient_scope", "the access token does not cover the source of the mount")
	}
	mounted, err := c.server.Content.Mount(c.Context(), c.repository(), source, d, c.now)
	if mounted {
		c.blobCreated(d)
	}
	return mounted, err
}

// uploadAccepted tells where an upload goes on and how far it is. The range of an
// empty one is 0-0, by tradition.
func (c *call) uploadAccepted(u registry.Upload) error {
	c.uploadHeaders(u)
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

func (c *call) uploadHeaders(u registry.Upload) {
	c.location("/v2/" + c.req.Repository + "/blobs/uploads/" + u.ID)
	c.w.Header().Set("Docker-Upload-UUID", u.ID)
	c.w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, u.State.Size-1)))
	c.w.Header().Set("Content-Length", "0")
}

func (c *call) currentUpload() (registry.Upload, error) {
	return c.server.Content.Upload(c.Context(), c.repository(), c.req.Reference)
}

func (c *call) uploadStatus() error {
	u, err := c.currentUpload()
	if err != nil {
		return err
	}
	c.uploadHeaders(u)
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

var contentRange = regexp.MustCompile(`^(?:bytes )?(\d+)-(\d+)(?:/.*)?$`)

// inOrder refuses a chunk that does not begin where the upload ends. Without a
// Content-Range the body is the rest, or a stream.
func (c *call) inOrder(u registry.Upload) error {
	text := c.Header.Get("Content-Range")
	if text == "" || continues(text, c.ContentLength, u.State.Size) {
		return nil
	}
	c.uploadHeaders(u)
	return problem.New(problem.Invalid, "RANGE_INVALID", "the chunk %q does not begin at byte %d, where the upload goes on", text, u.State.Size)
}

// continues reports whether a chunk with this Content-Range and that many bytes (-1 if
// nobody knows) begins at the byte.
func continues(span string, length, at int64) bool {
	m := contentRange.FindStringSubmatch(span)
	if m == nil {
		return false
	}
	from, err1 := strconv.ParseInt(m[1], 10, 64)
	to, err2 := strconv.ParseInt(m[2], 10, 64)
	return err1 == nil && err2 == nil && from == at && from <= to && (length < 0 || to-from+1 == length)
}

func (c *call) appendUpload() error {
	u, err := c.currentUpload()
	if err != nil {
		return err
	}
	if err := c.inOrder(u); err != nil {
		return err
	}
	if u, err = c.server.Content.Append(c.Context(), u, c.Body, c.now); err != nil {
		return c.uploadError(err)
	}
	return c.uploadAccepted(u)
}

func (c *call) finishUpload() error {
	u, err := c.currentUpload()
	if err != nil {
		return err
	}
	d, err := parseDigest(c.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	if err := c.inOrder(u); err != nil {
		return err
	}
	if _, err := c.server.Content.Finish(c.Context(), u, c.Body, d, c.now); err != nil {
		return c.uploadError(err)
	}
	c.blobCreated(d)
	return nil
}

// uploadError tells a body that broke off, or is none, from a fault of ours.
func (c *call) uploadError(err error) error {
	var p *problem.Error
	switch {
	case problem.Is(err, problem.Away): // whatever ended the wait for a store
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(problem.Invalid, "BLOB_UPLOAD_INVALID", "nothing came of the request body for too long").Because(err)
	case errors.As(err, &p):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), c.Context().Err() != nil:
		return problem.New(problem.Invalid, "BLOB_UPLOAD_INVALID", "the request body ended too early").Because(err)
	case errors.Is(err, edge.ErrBody):
		return problem.New(problem.Invalid, "BLOB_UPLOAD_INVALID", "the request body is not well-formed").Because(err)
	}
	return err
}

func (c *call) cancelUpload() error {
	u, err := c.currentUpload()
	if err != nil {
		return err
	}
	if err := c.server.Content.CancelUpload(c.Context(), u); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

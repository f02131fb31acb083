package client

import (
	"context"
	"io"
	"net/http"
)

// Upload sends size bytes of r to a signed URL of the storage host.
func (c *Client) Upload(ctx context.Context, link string, r io.Reader, size int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link, r)
	if err != nil {
		return err
	}
	if req.ContentLength = size; size == 0 {
		req.Body = http.NoBody // otherwise 0 means that the size is not known
	}
	req.Header.Set("x-ms-blob-type", "BlockBlob")
	req.Header.Set("Content-Type", "application/octet-stream")
	_, err = c.send(req)
	return err
}

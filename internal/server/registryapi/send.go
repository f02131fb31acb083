package registryapi

import (
	"io"
	"net/http"
	"strconv"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

// sendBlob sends a blob: whole, a part of it, or several.
func (c *call) sendBlob(b registry.Blob, spans []span) error {
	content, err := c.server.Content.OpenBlob(c.Context(), c.repository(), b)
	if err != nil {
		return err
	}
	defer content.Close()
	out := &lateHeader{ResponseWriter: c.w, status: http.StatusPartialContent}
	if err = c.writeSpans(out, content.WriteTo, b.Size, spans); err == nil {
		out.begin()
		return nil
	}
	if problem.Is(err, problem.Away) {
		if !out.begun {
			return err
		}
		if c.Context().Err() == nil {
			id := c.w.Header().Get("x-ms-request-id")
			c.server.Log.Error("a blob broke off", "id", id, "digest", b.Digest, "err", err)
		}
	}
	return nil // if it broke off, the client is gone or learns so from the length
}

// section writes n bytes of a blob from offset.
type section func(w io.Writer, offset, n int64) (int64, error)

// writeSpans writes what there are of spans, each with what goes around it if they are
// several.
func (c *call) writeSpans(out *lateHeader, content section, size int64, spans []span) error {
	head := c.w.Header()
	switch len(spans) {
	case 0:
		out.status, spans = http.StatusOK, []span{{0, size}}
	case 1:
		head.Set("Content-Range", spans[0].of(size))
	default:
		return c.writeParts(out, content, newParts(spans, size))
	}
	head.Set("Content-Length", strconv.FormatInt(spans[0].n, 10))
	_, err := content(out, spans[0].offset, spans[0].n)
	return err
}

func (c *call) writeParts(out *lateHeader, content section, p parts) error {
	c.w.Header().Set("Content-Type", p.form)
	c.w.Header().Set("Content-Length", strconv.FormatInt(p.length(), 10))
	for i, s := range p.spans {
		out.before = p.heads[i]
		if _, err := content(out, s.offset, s.n); err != nil {
			return err
		}
	}
	_, err := out.Write(p.end)
	return err
}

// lateHeader writes the status of an answer with its first byte: until then, there may still
// come an error instead. It hands ReadFrom through, so that files reach the socket by sendfile.
type lateHeader struct {
	http.ResponseWriter
	status int
	before []byte // goes before what is written next
	begun  bool
}

func (l *lateHeader) begin() {
	if !l.begun {
		l.begun = true
		l.WriteHeader(l.status)
	}
	if len(l.before) > 0 {
		_, _ = l.ResponseWriter.Write(l.before) // what is written next fails as well
		l.before = nil
	}
}

// Write implements io.Writer.
func (l *lateHeader) Write(p []byte) (int, error) {
	l.begin()
	return l.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (l *lateHeader) ReadFrom(r io.Reader) (int64, error) {
	l.begin()
	if to, ok := l.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{l.ResponseWriter}, r)
}

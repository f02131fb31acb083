package registryapi

import (
	"bytes"
	"fmt"
	"math"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// maxRanges is how many ranges of a blob are sent at once. Podman asks for 1,024 at most; a
// request for more, or for more bytes than the blob has, gets the whole blob, as RFC 9110
// section 14.2 has it for ranges that overlap or are many.
const maxRanges = 1024

// span is a part of a blob, one byte at least.
type span struct{ offset, n int64 }

// of is the span as Content-Range has it.
func (s span) of(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.offset, s.offset+s.n-1, size)
}

// ranges are the parts of the blob that a request asks for, in its order, for so its client
// takes them; none is the whole. Parts beyond the end are left out, if others are not.
func (c *call) ranges(size int64, etag string) ([]span, error) {
	header := strings.Join(c.Header.Values("Range"), ",")
	condition := c.Header.Get("If-Range")
	if c.Method != http.MethodGet || condition != "" && condition != etag {
		return nil, nil // it is about GET, and about the blob as it is
	}
	all, asked := parseRanges(header, size)
	if asked && len(all) == 0 {
		c.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return nil, problem.New(problem.Invalid, "RANGE_INVALID", "the range %.100q does not lie in the blob of %d bytes",
			header, size)
	}
	return all, nil
}

var rangePattern = regexp.MustCompile(`^(\d*)-(\d*)$`)

// parseRanges reads a Range header. It is none of ours, and asked is false, if one of its
// ranges is none, if there are too many, or if they are more than the whole.
func parseRanges(header string, size int64) (all []span, asked bool) {
	unit, list, _ := strings.Cut(header, "=")
	texts := strings.Split(list, ",")
	if !strings.EqualFold(strings.TrimSpace(unit), "bytes") || len(texts) > maxRanges {
		return nil, false
	}
	sum := int64(0)
	for _, text := range texts {
		text = strings.Trim(text, " \t")
		if text == "" {
			continue // a list may have empty elements
		}
		m := rangePattern.FindStringSubmatch(text)
		if m == nil || text == "-" {
			return nil, false
		}
		asked = true
		if s, ok := cutRange(m[1], m[2], size); ok {
			if sum += s.n; sum > size {
				return nil, false
			}
			all = append(all, s)
		}
	}
	return all, asked
}

// cutRange cuts a range to the bytes that there are, if there are any.
func cutRange(first, last string, size int64) (span, bool) {
	from, to := position(first), min(position(last), size-1)
	switch {
	case first == "": // the last so many bytes
		from, to = max(0, size-position(last)), size-1
	case last == "":
		to = size - 1
	case position(last) < from:
		return span{}, false
	}
	return span{from, to - from + 1}, from <= to
}

// position reads digits; a number that is too large is beyond every end.
func position(digits string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return n
}

// parts is the answer to a request for several ranges, but for what is in the blob.
type parts struct {
	spans []span
	heads [][]byte // before each span
	end   []byte
	form  string // content type
}

// newParts writes everything that goes around the spans, RFC 9110 section 14.6.
func newParts(spans []span, size int64) parts {
	var text bytes.Buffer
	w := multipart.NewWriter(&text)
	p := parts{spans: spans, form: "multipart/byteranges; boundary=" + w.Boundary()}
	take := func() []byte { defer text.Reset(); return bytes.Clone(text.Bytes()) }
	for _, s := range spans {
		// Neither fails: what is written to is memory.
		_, _ = w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/octet-stream"}, "Content-Range": {s.of(size)}})
		p.heads = append(p.heads, take())
	}
	_ = w.Close()
	p.end = take()
	return p
}

// length is how many bytes the answer has.
func (p parts) length() int64 {
	n := int64(len(p.end))
	for i, s := range p.spans {
		n += int64(len(p.heads[i])) + s.n
	}
	return n
}

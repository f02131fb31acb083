package registryapi

import (
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
)

// entityTag is that of content with the digest.
func entityTag(d digest.Digest) string { return `"` + d.String() + `"` }

// unchanged reports whether the request names the entity tag as one that it has, RFC 9110
// section 13.1.2. Content under a digest does not change, so weak tags are as good.
func (c *call) unchanged(etag string) bool {
	rest := strings.Join(c.Header.Values("If-None-Match"), ",")
	if strings.Trim(rest, " \t") == "*" {
		return true
	}
	for rest != "" {
		var tag string
		if tag, rest = cutTag(rest); tag == etag {
			return true
		}
	}
	return false
}

// cutTag cuts the first entity tag off a list, without what says that it is weak. One
// without quotes gets them: some clients send a digest as it is.
func cutTag(list string) (tag, rest string) {
	list = strings.TrimPrefix(strings.TrimLeft(list, " \t,"), "W/")
	if quoted, ok := strings.CutPrefix(list, `"`); ok {
		tag, rest, _ = strings.Cut(quoted, `"`)
	} else {
		tag, rest, _ = strings.Cut(list, ",")
	}
	return `"` + strings.Trim(tag, " \t") + `"`, rest
}

// notModified answers that the client has it.
func (c *call) notModified() error {
	c.w.WriteHeader(http.StatusNotModified)
	return nil
}

package registry

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/oci"
)

// Whatever a manifest is, what is taken of it can be kept: digests that are some, each
// once, and sizes that add up.
func FuzzParseManifest(f *testing.F) {
	const image, index = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
	d := digest.FromString("x").String()
	for _, body := range []string{
		`{"schemaVersion":2,"config":{"digest":"` + d + `","size":1},"layers":[{"digest":"` + d + `","size":2},{"digest":"` + d + `","size":2,"urls":["http://x"]}]}`,
		`{"mediaType":"` + index + `","manifests":[{"digest":"` + d + `","size":9223372036854775807},{"digest":"` + d + `","size":1}]}`,
		`{"subject":{"digest":"` + d + `"},"config":null,"layers":null,"annotations":{"a":"b"}}`, `{"config":{"digest":"sha256:../../x"}}`, `[]`, `null`, `{"layers":[null]}`, `{"config":{},"config":{"digest":"md5:x"}}`,
	} {
		for _, mediaType := range []string{"", image, index, image + "; charset=x", "text/plain"} {
			f.Add(mediaType, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		m, err := parseManifest(mediaType, body)
		if err != nil {
			return
		}
		if m.ImageSize < int64(len(body)) || m.Size != int64(len(body)) || len(m.Blobs) > maxParts || len(m.Children) > maxParts || len(m.Blobs) > 0 && len(m.Children) > 0 {
			t.Fatalf("%+v", m)
		}
		seen := map[digest.Digest]bool{}
		for _, d := range append(m.Blobs, m.Children...) {
			if d.Validate() != nil || seen[d] {
				t.Fatalf("%q is no digest, or comes twice", d)
			}
			seen[d] = true
		}
		if m.Subject != "" && m.Subject.Validate() != nil {
			t.Fatalf("the subject is %q", m.Subject)
		}
	})
}

// A push is under a digest that is that of its body, and under tags that are some.
func FuzzReference(f *testing.F) {
	for _, reference := range []string{"v1", "", "..", "sha256:x", digest.FromString("body").String(), digest.FromString("other").String(), digest.SHA512.FromString("body").String(), "a:b", "v1@sha256:x"} {
		f.Add(reference, "latest", []byte("body"))
	}
	f.Fuzz(func(t *testing.T, reference, tag string, body []byte) {
		d, tags, err := Push{Reference: reference, Tags: []string{tag}, Body: body}.digestAndTags()
		if err != nil {
			return
		}
		if d.Validate() != nil || d.Algorithm().FromBytes(body) != d {
			t.Fatalf("%q of %q is kept under %s", reference, body, d)
		}
		for _, tag := range tags {
			if !oci.ValidTag(tag) {
				t.Fatalf("%q is taken for a tag", tag)
			}
		}
		if isDigest := digest.Digest(reference).Validate() == nil; isDigest == (len(tags) == 2) || isDigest && d.String() != reference {
			t.Fatalf("%q means %s and %q", reference, d, tags)
		}
	})
}

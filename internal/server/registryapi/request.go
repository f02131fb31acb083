package registryapi

import (
	"net/http"
	"strings"

	"github.com/acrux/acrux/internal/oci"
)

// kind is what a request is about. The names are those of the end points in the OCI
// Distribution specification and in ACR's metadata API.
type kind int

const (
	unknown          kind = iota
	base                  // /v2/
	exchange              // /oauth2/exchange
	tokens                // /oauth2/token
	catalog               // /v2/_catalog
	tagList               // /v2/NAME/tags/list
	manifest              // /v2/NAME/manifests/REFERENCE
	blobContent           // /v2/NAME/blobs/DIGEST
	uploadStart           // /v2/NAME/blobs/uploads/
	upload                // /v2/NAME/blobs/uploads/ID
	referrers             // /v2/NAME/referrers/DIGEST
	acrCatalog            // /acr/v1/_catalog
	acrRepository         // /acr/v1/NAME
	acrTags               // /acr/v1/NAME/_tags
	acrTag                // /acr/v1/NAME/_tags/TAG
	acrManifests          // /acr/v1/NAME/_manifests
	acrManifest           // /acr/v1/NAME/_manifests/DIGEST
	acrPurge              // /acr/v1/NAME/_purge, an extension of ours
	deletedCatalog        // /acr/v1/_deleted/_catalog
	deletedTags           // /acr/v1/_deleted/NAME/_tags
	deletedManifests      // /acr/v1/_deleted/NAME/_manifests
	deletedManifest       // /acr/v1/_deleted/NAME/_manifests/DIGEST
)

// request is a parsed path. Repository and Reference (a tag, digest or upload ID)
// are set for the kinds that have them.
type request struct {
	Kind       kind
	Repository string
	Reference  string
}

// parse reads a path from its right end: repository names may contain the words
// that follow them.
func parse(path string) request {
	switch {
	case path == "/v2" || path == "/v2/":
		return request{Kind: base}
	case path == "/oauth2/exchange":
		return request{Kind: exchange}
	case path == "/oauth2/token":
		return request{Kind: tokens}
	case strings.HasPrefix(path, "/v2/"):
		return parseV2(strings.TrimPrefix(path, "/v2/"))
	case strings.HasPrefix(path, "/acr/v1/"):
		return parseACR(strings.Trim(strings.TrimPrefix(path, "/acr/v1/"), "/"))
	}
	return request{}
}

func parseV2(path string) request {
	if path == "_catalog" {
		return request{Kind: catalog}
	}
	above, last := cutLast(path)
	if last == "" { // a trailing slash: only an upload begins so
		above, last = cutLast(above)
		if name, ok := strings.CutSuffix(above, "/blobs"); ok && last == "uploads" {
			return request{Kind: uploadStart, Repository: name}
		}
		return request{}
	}
	if name, ok := strings.CutSuffix(above, "/blobs/uploads"); ok {
		return request{Kind: upload, Repository: name, Reference: last}
	}
	name, word := cutLast(above)
	switch {
	case name == "":
	case word == "tags" && last == "list":
		return request{Kind: tagList, Repository: name}
	case word == "manifests":
		return request{Kind: manifest, Repository: name, Reference: last}
	case word == "blobs" && last == "uploads":
		return request{Kind: uploadStart, Repository: name}
	case word == "blobs":
		return request{Kind: blobContent, Repository: name, Reference: last}
	case word == "referrers":
		return request{Kind: referrers, Repository: name, Reference: last}
	}
	return request{}
}

func parseACR(path string) request {
	if rest, ok := strings.CutPrefix(path, "_deleted/"); ok {
		return parseDeleted(rest)
	}
	switch path {
	case "":
		return request{}
	case "_catalog":
		return request{Kind: acrCatalog}
	}
	above, last := cutLast(path)
	name, word := cutLast(above)
	switch {
	case word == "_tags" && name != "": // first: a tag may have one of these words as its name
		return request{Kind: acrTag, Repository: name, Reference: last}
	case word == "_manifests" && name != "":
		return request{Kind: acrManifest, Repository: name, Reference: last}
	case last == "_tags" && above != "":
		return request{Kind: acrTags, Repository: above}
	case last == "_manifests" && above != "":
		return request{Kind: acrManifests, Repository: above}
	case last == "_purge" && above != "":
		return request{Kind: acrPurge, Repository: above}
	case strings.HasPrefix(path, "_"):
		return request{}
	}
	return request{Kind: acrRepository, Repository: path}
}

// parseDeleted reads what follows _deleted: the same paths, but of what soft delete keeps.
func parseDeleted(path string) request {
	req := parseACR(path)
	switch req.Kind {
	case acrCatalog:
		req.Kind = deletedCatalog
	case acrTags:
		req.Kind = deletedTags
	case acrManifests:
		req.Kind = deletedManifests
	case acrManifest:
		req.Kind = deletedManifest
	default:
		return request{}
	}
	return req
}

func cutLast(path string) (above, last string) {
	i := strings.LastIndex(path, "/")
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// need is the access that a request takes; ok is false for those that take none.
func (r request) need(method string) (access oci.Access, ok bool) {
	read := method == http.MethodGet || method == http.MethodHead
	switch r.Kind {
	case catalog, acrCatalog:
		return oci.CatalogAccess(), true
	case tagList, referrers:
		return oci.RepositoryAccess(r.Repository, oci.Pull), true
	case manifest, blobContent:
		switch {
		case read:
			return oci.RepositoryAccess(r.Repository, oci.Pull), true
		case method == http.MethodDelete:
			return oci.RepositoryAccess(r.Repository, oci.Delete), true
		}
		return oci.RepositoryAccess(r.Repository, oci.Pull, oci.Push), true
	case uploadStart, upload:
		return oci.RepositoryAccess(r.Repository, oci.Pull, oci.Push), true
	case acrRepository, acrTags, acrTag, acrManifests, acrManifest:
		switch {
		case read:
			return oci.RepositoryAccess(r.Repository, oci.MetadataRead), true
		case method == http.MethodDelete:
			return oci.RepositoryAccess(r.Repository, oci.Delete), true
		}
		return oci.RepositoryAccess(r.Repository, oci.MetadataWrite), true
	case acrPurge:
		return oci.RepositoryAccess(r.Repository, oci.Delete, oci.MetadataRead), true
	case deletedCatalog:
		return oci.DeletedCatalogAccess(), true
	case deletedTags, deletedManifests:
		return oci.RepositoryAccess(r.Repository, oci.DeletedRead), true
	case deletedManifest:
		return oci.RepositoryAccess(r.Repository, oci.DeletedRestore), true
	}
	return oci.Access{}, false
}

package registryapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/nearest"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registry"
)

// Of a repository that lacks what was asked for some tags are told.
const (
	lookedAt = 100 // of the newest
	told     = 5
)

// withTags adds to the answer that a tag or a manifest is not there which tags are, for those who
// may list them. A HEAD has no body: what looks whether something is there costs no list.
func (c *call) withTags(err error) error {
	p := problem.From(err)
	asks := c.Method == http.MethodGet || c.Method == http.MethodDelete || c.Method == http.MethodPatch
	if !asks || p.Code != "MANIFEST_UNKNOWN" && p.Code != "TAG_UNKNOWN" || !c.mayList() {
		return err
	}
	tags, failed := c.server.Content.Tags(c.Context(), c.repository(),
		registry.TagQuery{Page: registry.Page{N: lookedAt}, Order: registry.TimeDesc})
	if failed != nil {
		return err // the answer is good without them
	}
	with := *p
	with.Message += "; " + someTags(tags, p.Target)
	return &with
}

// mayList reports whether who asks may list the tags of the repository, as docker does or as az
// does, with the rights that he has now and a token that lets him read there, or delete.
func (c *call) mayList() bool {
	covers := func(action oci.Action) bool {
		return c.granted == nil || covered(c.granted, oci.RepositoryAccess(c.req.Repository, action))
	}
	may := func(action oci.Action) bool { return c.check(c.subject, action, c.req.Repository) == nil }
	return slices.ContainsFunc([]oci.Action{oci.Pull, oci.MetadataRead, oci.Delete}, covers) &&
		slices.ContainsFunc([]oci.Action{oci.Pull, oci.MetadataRead}, may)
}

// someTags names a few tags, the one first that is most like the wrong one.
func someTags(tags []registry.Tag, wrong string) string {
	var names []string
	for _, tag := range tags {
		names = append(names, tag.Name)
	}
	if len(names) == 0 {
		return "it has no tags"
	}
	if best := nearest.Word(wrong, names); best != "" {
		names = slices.DeleteFunc(names, func(name string) bool { return name == best })
		names = slices.Insert(names, 0, best)
	}
	if len(names) > told {
		return fmt.Sprintf("tags: %s, …", strings.Join(names[:told], ", "))
	}
	return "tags: " + strings.Join(names, ", ")
}

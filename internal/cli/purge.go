package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/acrux/acrux/internal/cli/acrtool"
	"github.com/acrux/acrux/internal/oci"
)

var purgedTable = &table{columns: columns{{"REPOSITORY", "repository"}, {"TAGS DELETED", "length(tagsDeleted)"}, {"MANIFESTS DELETED", "length(manifestsDeleted)"}, {"SKIPPED", "length(skipped)"}}}

func purgeCommand() command {
	return command{path: "acr purge", short: "Delete old tags and manifests by rules", run: purge, table: purgedTable, flags: with(signInFlags,
		flag{name: "registry", short: "r", required: true, help: "name of the registry"},
		flag{name: "filter", kind: list, help: "REPOSITORY:TAG, both regular expressions: the repository's whole name, anything in the tag's; may be repeated"},
		flag{name: "ago", help: "only what was pushed longer ago: 7d, 2d12h, 30m", fallback: "1d"},
		flag{name: "keep", help: "of what would be deleted in a repository, so many of the newest stay", fallback: "0"},
		flag{name: "untagged", kind: toggle, help: "also manifests without a tag, of the repositories of the filters"},
		flag{name: "untagged-only", kind: toggle, help: "nothing but those; without a filter those of all repositories"},
		flag{name: "include-locked", kind: toggle, help: "also what is locked"},
		flag{name: "dry-run", kind: toggle, help: "say what would be deleted, and delete nothing"},
		flag{name: "concurrency", help: "taken for scripts of the published tool; the server needs no help"})}
}

// purge asks the server to purge each repository of the filters, once for each filter.
func purge(ctx context.Context, c *call) (any, error) {
	var filters []acrtool.Filter
	for _, text := range c.list("filter") {
		f, err := acrtool.ParseFilter(text)
		if err != nil {
			return nil, err
		}
		filters = append(filters, f)
	}
	only := c.toggle("untagged-only")
	if len(filters) == 0 && !only {
		return nil, invalidArgument("give a --filter, or --untagged-only")
	}
	ago, err := acrtool.ParseAgo(c.text("ago"))
	if err != nil {
		return nil, err
	}
	keep, err := c.number("keep", 0)
	if err != nil {
		return nil, err
	}
	h, err := c.host(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	names, err := h.pages(ctx, "/acr/v1/_catalog", nil, oci.CatalogAccess(), "repositories", 0)
	if err != nil {
		return nil, err
	}
	body := document{"before": time.Now().Add(-ago).UTC(), "keep": keep, "untagged": only || c.toggle("untagged"), "includeLocked": c.toggle("include-locked"), "dryRun": c.toggle("dry-run")}
	c.signals.goesOn("Canceled: what was deleted so far stays deleted")
	done := []any{}
	for _, entry := range names {
		name, _ := entry.(string) // the API has nothing else
		tags, meant, err := acrtool.TagsOf(filters, name)
		if err != nil {
			return nil, err
		}
		if !meant && len(filters) > 0 {
			continue
		}
		one, err := h.purge(ctx, name, tags, only, body, c.stderr)
		if err != nil {
			return done, err
		}
		done = append(done, one)
	}
	return done, nil
}

// purge has a repository purged, and tells progress how far it is: the server stops after a
// while, and goes on when it is asked again.
func (h host) purge(ctx context.Context, repository, tags string, only bool, body document, progress io.Writer) (document, error) {
	actions := []oci.Action{oci.Delete, oci.MetadataRead}
	if locked, _ := body["includeLocked"].(bool); locked {
		actions = append(actions, oci.MetadataWrite)
	}
	delete(body, "filter")
	if !only {
		body["filter"] = tags
	}
	deleted, manifests, skipped := []string{}, []string{}, []string{}
	for {
		var out purged
		_, err := h.do(ctx, "POST", "/acr/v1/"+repository+"/_purge", oci.RepositoryAccess(repository, actions...), body, &out)
		deleted, manifests = append(deleted, out.Tags...), append(manifests, out.Manifests...)
		skipped = append(skipped, out.Skipped...)
		if err != nil || !out.More {
			slices.Sort(skipped) // each part names what is locked
			return document{"repository": repository, "tagsDeleted": deleted, "manifestsDeleted": manifests, "skipped": slices.Compact(skipped)}, err
		}
		fmt.Fprintf(progress, "%s: %d tags and %d manifests are deleted, going on\n", repository, len(deleted), len(manifests))
	}
}

// purged is what the server answers to a purge.
type purged struct {
	Tags      []string `json:"tagsDeleted"`
	Manifests []string `json:"manifestsDeleted"`
	Skipped   []string `json:"skipped"`
	More      bool     `json:"more"`
}

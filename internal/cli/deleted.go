package cli

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/acrux/acrux/internal/oci"
)

func listDeletedRepositories(ctx context.Context, c *call) (any, error) {
	h, err := c.host(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	return h.pages(ctx, "/acr/v1/_deleted/_catalog", nil, oci.DeletedCatalogAccess(), "repositories", 0)
}

// deletedAccess is what looking into what soft delete keeps takes.
func deletedAccess(repository string, more ...oci.Action) oci.Access {
	return oci.RepositoryAccess(repository, append([]oci.Action{oci.DeletedRead}, more...)...)
}

func listDeletedManifests(ctx context.Context, c *call) (any, error) {
	h, repository, err := c.repository(ctx)
	if err != nil {
		return nil, err
	}
	return h.deleted(ctx, repository, "manifests")
}

func listDeletedTags(ctx context.Context, c *call) (any, error) {
	h, name, err := c.subject(ctx)
	if err != nil {
		return nil, err
	}
	if oci.ValidRepository(name) {
		return h.deleted(ctx, name, "tags")
	}
	ref, err := oci.ParseName(name)
	if err != nil || ref.Digest != "" {
		return nil, invalidArgument("'%s' is neither a repository nor repository:tag", name)
	}
	return h.deletedTags(ctx, ref)
}

// deleted lists what soft delete keeps of a repository, and when it will be gone for who
// may see the registry's policies.
func (h host) deleted(ctx context.Context, repository, what string) ([]any, error) {
	all, err := h.pages(ctx, "/acr/v1/_deleted/"+repository+"/_"+what, nil, deletedAccess(repository), what, 0)
	for _, entry := range all {
		m, _ := entry.(map[string]any) // the API has nothing else
		at, _ := m["deletedAt"].(string)
		policy, _ := policyOf(h.resource, "softDeletePolicy").(map[string]any)
		days, known := policy["retentionDays"].(float64)
		if deleted, err := time.Parse(time.RFC3339Nano, at); err == nil && known {
			m["expiresAfter"] = deleted.AddDate(0, 0, int(days)).Format(time.RFC3339Nano)
		}
	}
	return all, err
}

// deletedTags lists those of one name, by the time of their deletion.
func (h host) deletedTags(ctx context.Context, ref oci.Reference) ([]any, error) {
	all, err := h.deleted(ctx, ref.Repository, "tags")
	var named []any
	for _, entry := range all {
		if m, _ := entry.(map[string]any); m["tag"] == ref.Tag {
			named = append(named, entry)
		}
	}
	return named, err
}

func restoreManifest(ctx context.Context, c *call) (any, error) {
	h, ref, err := c.artifact(ctx)
	if err != nil {
		return nil, err
	}
	if ref.Digest != "" {
		return nil, invalidArgument("give repository:tag, and --digest beside it")
	}
	digest := c.text("digest")
	if digest == "" {
		all, err := h.deletedTags(ctx, ref)
		if err != nil {
			return nil, err
		}
		if len(all) == 0 {
			return nil, invalidArgument("no deleted manifest has the tag %s", ref.Tag)
		}
		last, _ := all[len(all)-1].(map[string]any)
		digest, _ = last["digest"].(string) // every tag has one
		if len(all) > 1 {
			if err := c.confirm(fmt.Sprintf("The tag %s was deleted %d times; this restores what it named last, %s.", ref.Tag, len(all), digest)); err != nil {
				return nil, err
			}
		}
	}
	query := url.Values{"force": {fmt.Sprint(c.toggle("force"))}}
	var body document
	_, err = h.do(ctx, "POST", "/acr/v1/_deleted/"+ref.Repository+"/_manifests/"+digest+"?"+query.Encode(), deletedAccess(ref.Repository, oci.DeletedRestore), document{"tag": ref.Tag}, &body)
	return body, err
}

// The policies that 'acr config' shows and changes.
var policies = []struct{ command, member, days, short string }{
	{"retention", "retentionPolicy", "days", "how long manifests without a tag stay"},
	{"soft-delete", "softDeletePolicy", "retentionDays", "how long what was deleted can be restored"},
}

func policyCommands() []command {
	registry := flag{name: "registry", short: "r", required: true, help: "name of the registry"}
	var all []command
	for _, p := range policies {
		show := func(ctx context.Context, c *call) (any, error) {
			doc, err := c.getRegistry(ctx, c.text("registry"))
			return policyOf(doc, p.member), err
		}
		update := func(ctx context.Context, c *call) (any, error) { return c.updatePolicy(ctx, p.member, p.days) }
		kind := flag{name: "type", help: "UntaggedManifests", fallback: "UntaggedManifests"}
		flags := []flag{registry, groupFlag, {name: "status", help: "enabled or disabled"}, {name: "days", help: "number of days"}, yesFlag}
		if p.command == "retention" {
			flags = append(flags, kind)
		}
		all = append(all, command{path: "acr config " + p.command + " show", short: "Show " + p.short, run: show, table: members, flags: []flag{registry, groupFlag}},
			command{path: "acr config " + p.command + " update", short: "Change " + p.short, run: update, table: members, flags: flags})
	}
	return all
}

func policyOf(doc document, member string) any {
	all, _ := doc["policies"].(map[string]any) // every registry has some
	return all[member]
}

func (c *call) updatePolicy(ctx context.Context, member, days string) (any, error) {
	change := document{}
	if status := c.text("status"); status != "" {
		change["status"] = status
	}
	if c.given("days") {
		n, err := c.number("days", 0)
		if err != nil {
			return nil, err
		}
		change[days] = n
	}
	if len(change) == 0 {
		return nil, invalidArgument("give what to change: --status or --days")
	}
	doc, err := c.getRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	id, _ := doc["id"].(string) // every resource has one
	var out document
	_, err = c.client.Do(ctx, "PATCH", id, registriesVersion, document{"properties": document{"policies": document{member: change}}}, &out)
	return policyOf(flatten(out), member), err
}

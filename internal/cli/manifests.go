package cli

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/oci"
)

// manifestTypes are the media types of manifests that a client may be shown.
var manifestTypes = strings.Join([]string{
	"application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json", "*/*",
}, ", ")

// subject is what a command of 'acr manifest' is about: LOGINSERVER/NAME as an argument,
// or a NAME with --registry.
func (c *call) subject(ctx context.Context) (host, string, error) {
	registry, name := c.text("registry"), c.text("name")
	switch {
	case len(c.args) == 1 && registry == "" && name == "":
		registry, name, _ = strings.Cut(c.args[0], "/")
		if !strings.Contains(registry, ".") {
			return host{}, "", invalidArgument("%s does not begin with the login server of a registry", c.args[0])
		}
	case len(c.args) == 0 && registry != "" && name != "":
	default:
		return host{}, "", invalidArgument("give LOGINSERVER/NAME, or --registry and --name")
	}
	h, err := c.host(ctx, registry)
	return h, name, err
}

// repository is a subject without a tag or a digest.
func (c *call) repository(ctx context.Context) (host, string, error) {
	h, name, err := c.subject(ctx)
	if err == nil && !oci.ValidRepository(name) {
		err = invalidArgument("'%s' is not the name of a repository", name)
	}
	return h, name, err
}

// artifact is a subject with a tag or a digest; without either its tag is latest.
func (c *call) artifact(ctx context.Context) (host, oci.Reference, error) {
	h, name, err := c.subject(ctx)
	if err != nil {
		return h, oci.Reference{}, err
	}
	ref, err := oci.ParseName(name)
	if err != nil {
		return h, ref, usageError{err}
	}
	return h, ref, nil
}

// digest is the digest that a reference means now.
func (h host) digest(ctx context.Context, ref oci.Reference, actions ...oci.Action) (string, error) {
	if ref.Digest != "" {
		return ref.Digest.String(), nil
	}
	var body struct{ Tag struct{ Digest string } }
	_, err := h.do(ctx, "GET", "/acr/v1/"+ref.Repository+"/_tags/"+ref.Tag, oci.RepositoryAccess(ref.Repository, actions...), nil, &body)
	return body.Tag.Digest, err
}

// manifest fetches a manifest as it was pushed.
func (h host) manifest(ctx context.Context, repository, reference string, actions ...oci.Action) (client.Response, error) {
	return h.client.Registry(ctx, client.RegistryRequest{Server: h.server, Method: "GET", Path: "/v2/" + repository + "/manifests/" + reference,
		Scope: oci.RepositoryAccess(repository, actions...).String(), Accept: manifestTypes, Username: h.username, Password: h.password}, nil)
}

// deleteManifest deletes the manifest that a reference means, with all its tags.
func (h host) deleteManifest(ctx context.Context, ref oci.Reference) error {
	actions := []oci.Action{oci.Delete, oci.MetadataRead}
	digest, err := h.digest(ctx, ref, actions...)
	if err != nil {
		return err
	}
	_, err = h.do(ctx, "DELETE", "/v2/"+ref.Repository+"/manifests/"+digest, oci.RepositoryAccess(ref.Repository, actions...), nil, nil)
	return err
}

func (c *call) listManifests(ctx context.Context, actions ...oci.Action) (host, string, []any, error) {
	top, err := c.top()
	if err != nil {
		return host{}, "", nil, err
	}
	h, repository, err := c.repository(ctx)
	if err != nil {
		return h, repository, nil, err
	}
	all, err := h.pages(ctx, "/acr/v1/"+repository+"/_manifests", c.order(), oci.RepositoryAccess(repository, actions...), "manifests", top)
	return h, repository, all, err
}

func listManifestMetadata(ctx context.Context, c *call) (any, error) {
	_, _, all, err := c.listManifests(ctx, oci.MetadataRead)
	return all, err
}

// listManifests shows the manifests themselves.
func listManifests(ctx context.Context, c *call) (any, error) {
	h, repository, all, err := c.listManifests(ctx, oci.Pull, oci.MetadataRead)
	if err != nil {
		return nil, err
	}
	manifests := make([]json.RawMessage, len(all))
	for i, entry := range all {
		m, _ := entry.(map[string]any)    // the API has nothing else
		digest, _ := m["digest"].(string) // every manifest has one
		res, err := h.manifest(ctx, repository, digest, oci.Pull, oci.MetadataRead)
		if err != nil {
			return nil, err
		}
		manifests[i] = res.Body
	}
	return manifests, nil
}

// showManifest shows a manifest; with --raw byte by byte, so that its hash is its digest.
func showManifest(ctx context.Context, c *call) (any, error) {
	h, ref, err := c.artifact(ctx)
	if err != nil {
		return nil, err
	}
	reference := ref.Tag
	if ref.Digest != "" {
		reference = ref.Digest.String()
	}
	res, err := h.manifest(ctx, ref.Repository, reference, oci.Pull)
	if err != nil || !c.toggle("raw") {
		return json.RawMessage(res.Body), err
	}
	_, err = c.stdout.Write(res.Body)
	return nil, err
}

// byDigest is an artifact's host and its digest as a reference.
func (c *call) byDigest(ctx context.Context, actions ...oci.Action) (host, oci.Reference, error) {
	h, ref, err := c.artifact(ctx)
	if err != nil {
		return h, ref, err
	}
	digest, err := h.digest(ctx, ref, actions...)
	if err != nil {
		return h, ref, err
	}
	ref, err = oci.ParseName(ref.Repository + "@" + digest)
	return h, ref, err
}

func showManifestMetadata(ctx context.Context, c *call) (any, error) {
	h, ref, err := c.byDigest(ctx, oci.MetadataRead)
	if err != nil {
		return nil, err
	}
	return h.describe(ctx, "GET", ref, nil, oci.MetadataRead)
}

func updateManifestMetadata(ctx context.Context, c *call) (any, error) {
	change, err := c.locks()
	if err != nil {
		return nil, err
	}
	actions := []oci.Action{oci.MetadataWrite, oci.MetadataRead}
	h, ref, err := c.artifact(ctx)
	if err != nil {
		return nil, err
	}
	return h.describe(ctx, "PATCH", ref, change, actions...)
}

func deleteManifest(ctx context.Context, c *call) (any, error) {
	h, ref, err := c.artifact(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.confirm("This deletes the manifest '" + ref.Name() + "' and all its tags."); err != nil {
		return nil, err
	}
	return nil, h.deleteManifest(ctx, ref)
}

// listReferrers shows the artifacts that refer to a manifest, and with --recursive those
// that refer to them.
func listReferrers(ctx context.Context, c *call) (any, error) {
	h, ref, err := c.byDigest(ctx, oci.MetadataRead)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	if kind := c.text("artifact-type"); kind != "" {
		query.Set("artifactType", kind)
	}
	index, all, err := h.referrers(ctx, ref.Repository, ref.Digest.String(), query)
	if err != nil {
		return nil, err
	}
	for i := 0; c.toggle("recursive") && i < len(all); i++ {
		m, _ := all[i].(map[string]any) // a descriptor
		digest, _ := m["digest"].(string)
		_, more, err := h.referrers(ctx, ref.Repository, digest, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	index["manifests"] = all
	return index, nil
}

func (h host) referrers(ctx context.Context, repository, digest string, query url.Values) (index document, all []any, err error) {
	path := "/v2/" + repository + "/referrers/" + digest + "?" + query.Encode()
	all = []any{}
	for path != "" {
		index = nil
		res, err := h.do(ctx, "GET", path, oci.RepositoryAccess(repository, oci.Pull), nil, &index)
		if err != nil {
			return nil, nil, err
		}
		page, _ := index["manifests"].([]any)
		all = append(all, page...)
		path = res.NextPage()
	}
	return index, all, nil
}

package cli

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
)

// loginServer returns the login server of the registry that --name means.
func (c *call) loginServer(ctx context.Context) (string, error) {
	doc, err := c.getRegistry(ctx, c.text("name"))
	if err != nil {
		return "", err
	}
	server, _ := doc["loginServer"].(string) // every registry has one
	return server, nil
}

// registryLogin prints a refresh token, which docker login takes as the password of
// the user of all zeros.
func registryLogin(ctx context.Context, c *call) (any, error) {
	if !c.toggle("expose-token") {
		return nil, problem.New(problem.Unsupported, "NotImplemented", "logging docker in is not available in this version of Acrux").
			Hint("az acr login --name %s --expose-token --query accessToken --output tsv | docker login LOGINSERVER --username 00000000-0000-0000-0000-000000000000 --password-stdin", c.text("name"))
	}
	server, err := c.loginServer(ctx)
	if err != nil {
		return nil, err
	}
	token, err := c.client.RefreshToken(ctx, server)
	return document{"accessToken": token, "refreshToken": token, "loginServer": server, "username": "00000000-0000-0000-0000-000000000000"}, err
}

// pages reads a listing of a registry page by page, up to top entries.
func (c *call) pages(ctx context.Context, server, path, scope, member string, top int) ([]any, error) {
	all := []any{}
	for path != "" && (top == 0 || len(all) < top) {
		var body document
		res, err := c.client.Registry(ctx, server, "GET", path, scope, &body)
		if err != nil {
			return nil, err
		}
		page, _ := body[member].([]any) // null is an empty page
		all = append(all, page...)
		path = res.NextPage()
	}
	if top > 0 && len(all) > top {
		all = all[:top]
	}
	return all, nil
}

func listRepositories(ctx context.Context, c *call) (any, error) {
	server, err := c.loginServer(ctx)
	if err != nil {
		return nil, err
	}
	return c.pages(ctx, server, "/acr/v1/_catalog?n=1000", oci.CatalogAccess().String(), "repositories", 0)
}

func showTags(ctx context.Context, c *call) (any, error) {
	server, err := c.loginServer(ctx)
	if err != nil {
		return nil, err
	}
	repository := c.text("repository")
	top := 0
	if text := c.text("top"); text != "" {
		if top, err = strconv.Atoi(text); err != nil || top < 1 {
			return nil, usageError{problem.New(problem.Invalid, "InvalidArgument", "--top %s is not a positive number", text)}
		}
	}
	query := url.Values{"n": {"1000"}}
	if order := c.text("orderby"); order != "" {
		query.Set("orderby", strings.ReplaceAll(order, "_", ""))
	}
	tags, err := c.pages(ctx, server, "/acr/v1/"+repository+"/_tags?"+query.Encode(), oci.RepositoryAccess(repository, oci.MetadataRead).String(), "tags", top)
	if err != nil || c.toggle("detail") {
		return tags, err
	}
	names := make([]any, len(tags))
	for i, tag := range tags {
		names[i] = tag.(map[string]any)["name"]
	}
	return names, nil
}

// image reads --image, or --repository as a whole.
func (c *call) image() (oci.Reference, error) {
	repository, image := c.text("repository"), c.text("image")
	if (repository == "") == (image == "") {
		return oci.Reference{}, usageError{problem.New(problem.Invalid, "InvalidArgument", "give one of --repository and --image")}
	}
	if image == "" {
		return oci.Reference{Repository: repository}, nil
	}
	ref, err := oci.ParseName(image)
	if err != nil {
		return ref, usageError{err}
	}
	return ref, nil
}

func showRepository(ctx context.Context, c *call) (any, error) {
	ref, err := c.image()
	if err != nil {
		return nil, err
	}
	server, err := c.loginServer(ctx)
	if err != nil {
		return nil, err
	}
	path, member := "/acr/v1/"+ref.Repository, ""
	switch {
	case ref.Digest != "":
		path, member = path+"/_manifests/"+ref.Digest.String(), "manifest"
	case ref.Tag != "":
		path, member = path+"/_tags/"+ref.Tag, "tag"
	}
	var body document
	if _, err := c.client.Registry(ctx, server, "GET", path, oci.RepositoryAccess(ref.Repository, oci.MetadataRead).String(), &body); err != nil {
		return nil, err
	}
	if member != "" {
		return body[member], nil
	}
	return body, nil
}

// deleteRepository deletes a repository, or the manifest of an image with all its tags.
func deleteRepository(ctx context.Context, c *call) (any, error) {
	ref, err := c.image()
	if err != nil {
		return nil, err
	}
	server, err := c.loginServer(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.confirm("This deletes '" + ref.Name() + "' with everything below it."); err != nil {
		return nil, err
	}
	scope := oci.RepositoryAccess(ref.Repository, oci.Delete, oci.MetadataRead).String()
	if ref.Tag == "" && ref.Digest == "" {
		var body document
		_, err := c.client.Registry(ctx, server, "DELETE", "/acr/v1/"+ref.Repository, scope, &body)
		return body, err
	}
	digest := ref.Digest.String()
	if digest == "" {
		var body struct{ Tag struct{ Digest string } }
		if _, err := c.client.Registry(ctx, server, "GET", "/acr/v1/"+ref.Repository+"/_tags/"+ref.Tag, scope, &body); err != nil {
			return nil, err
		}
		digest = body.Tag.Digest
	}
	_, err = c.client.Registry(ctx, server, "DELETE", "/v2/"+ref.Repository+"/manifests/"+digest, scope, nil)
	return nil, err
}

func untag(ctx context.Context, c *call) (any, error) {
	ref, err := oci.ParseName(c.text("image"))
	if err != nil || ref.Digest != "" {
		return nil, usageError{problem.New(problem.Invalid, "InvalidArgument", "--image %s is not repository:tag", c.text("image"))}
	}
	server, err := c.loginServer(ctx)
	if err != nil {
		return nil, err
	}
	_, err = c.client.Registry(ctx, server, "DELETE", "/acr/v1/"+ref.Repository+"/_tags/"+ref.Tag, oci.RepositoryAccess(ref.Repository, oci.Delete).String(), nil)
	return nil, err
}

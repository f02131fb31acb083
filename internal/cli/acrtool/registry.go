package acrtool

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/secret"
)

// registry is a registry's host, as one user.
type registry struct {
	client   *client.Client
	server   string
	username string
	password secret.String
}

func newRegistry(server, username string, password secret.String) (*registry, error) {
	c, err := client.New(client.Profile{}, "")
	return &registry{client: c, server: server, username: username, password: password}, err
}

func (r *registry) do(ctx context.Context, method, path string, access oci.Access, in, out any) (client.Response, error) {
	return r.client.Registry(ctx, client.RegistryRequest{Server: r.server, Method: method, Path: path, Scope: access.String(), In: in,
		Username: r.username, Password: r.password}, out)
}

// each reads a listing page by page into page, which do looks at.
func each[P any](ctx context.Context, r *registry, path string, query url.Values, access oci.Access, do func(P) error) error {
	query.Set("n", "1000")
	for path += "?" + query.Encode(); path != ""; {
		var page P
		res, err := r.do(ctx, "GET", path, access, nil, &page)
		if err != nil {
			return err
		}
		if err := do(page); err != nil {
			return err
		}
		path = res.NextPage()
	}
	return nil
}

// repositories lists the names of all.
func (r *registry) repositories(ctx context.Context) (names []string, err error) {
	err = each(ctx, r, "/acr/v1/_catalog", url.Values{}, oci.CatalogAccess(), func(page struct{ Repositories []string }) error {
		names = append(names, page.Repositories...)
		return nil
	})
	return names, err
}

// tag is a tag as the metadata API has it.
type tag struct {
	Name       string    `json:"name"`
	Digest     string    `json:"digest"`
	Updated    time.Time `json:"lastUpdateTime"`
	Changeable struct {
		Write bool `json:"writeEnabled"`
	} `json:"changeableAttributes"`
}

// tags lists those of a repository, the newest first.
func (r *registry) tags(ctx context.Context, repository string) (tags []tag, err error) {
	access := oci.RepositoryAccess(repository, oci.MetadataRead)
	err = each(ctx, r, "/acr/v1/"+repository+"/_tags", url.Values{"orderby": {"timedesc"}}, access, func(page struct{ Tags []tag }) error {
		tags = append(tags, page.Tags...)
		return nil
	})
	return tags, err
}

// manifest is a manifest as the metadata API has it.
type manifest struct {
	Digest     string   `json:"digest"`
	MediaType  string   `json:"mediaType"`
	Tags       []string `json:"tags"`
	Changeable struct {
		Write bool `json:"writeEnabled"`
	} `json:"changeableAttributes"`
}

// manifests lists those of a repository.
func (r *registry) manifests(ctx context.Context, repository string) (manifests []manifest, err error) {
	access := oci.RepositoryAccess(repository, oci.MetadataRead)
	err = each(ctx, r, "/acr/v1/"+repository+"/_manifests", url.Values{}, access, func(page struct{ Manifests []manifest }) error {
		manifests = append(manifests, page.Manifests...)
		return nil
	})
	return manifests, err
}

// denied reports whether the registry refused for want of a right.
func denied(err error) bool {
	return problem.Is(err, problem.Denied) || problem.Is(err, problem.Unauthenticated)
}

// absent reports whether a registry does not know what was asked.
func absent(err error) bool {
	var p *problem.Error
	return errors.As(err, &p) && (p.Kind == problem.NotFound || p.Kind == problem.NotAllowed)
}

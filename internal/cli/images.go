package cli

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/nearest"
	"github.com/acrux/acrux/internal/oci"
)

// registryLogin logs docker (or podman) in, or prints a refresh token, which docker
// login takes as the password of the user of all zeros.
func registryLogin(ctx context.Context, c *call) (any, error) {
	h, err := c.host(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	user, password := h.username, h.password.Reveal()
	if user == "" {
		user = oci.RefreshUser
		if password, err = c.client.RefreshToken(ctx, h.server); err != nil {
			return nil, err
		}
	}
	if !c.toggle("expose-token") {
		return nil, c.loginDocker(ctx, h.server, user, password)
	}
	if h.username != "" {
		return nil, invalidArgument("--expose-token goes without --username: a password is not exchanged for a token")
	}
	return document{"accessToken": password, "refreshToken": password, "loginServer": h.server, "username": user}, nil
}

// loginDocker hands a password to docker, or podman, over its standard input.
func (c *call) loginDocker(ctx context.Context, server, user, password string) error {
	program, err := exec.LookPath("docker")
	if err != nil {
		program, err = exec.LookPath("podman")
	}
	if err != nil {
		return problem.New(problem.NotFound, "DockerNotFound", "neither docker nor podman is on the PATH").
			Hint("az acr login --name %s --expose-token", c.text("name"))
	}
	cmd := exec.CommandContext(ctx, program, "login", server, "--username", user, "--password-stdin")
	cmd.Stdin = bytes.NewReader([]byte(password))
	cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
	err = cmd.Run()
	if !errors.As(err, new(*exec.ExitError)) {
		return err
	}
	seen := c.containerClients(nameOfServer(server))
	seen.programs = []string{filepath.Base(program)}
	if err := seen.check(ctx, server); err != nil {
		return err
	}
	return exitError(exitFailed) // it has said why
}

func listRepositories(ctx context.Context, c *call) (any, error) {
	top, err := c.top()
	if err != nil {
		return nil, err
	}
	h, err := c.host(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	return h.pages(ctx, "/acr/v1/_catalog", nil, oci.CatalogAccess(), "repositories", top)
}

func showTags(ctx context.Context, c *call) (any, error) {
	return c.listOf(ctx, "_tags", "tags", "name")
}

func showManifests(ctx context.Context, c *call) (any, error) {
	return c.listOf(ctx, "_manifests", "manifests", "")
}

// unknownRepository adds to the error of a repository that is not there its name, and the one
// that was probably meant, if the caller may list them.
func (c *call) unknownRepository(ctx context.Context, h host, name string, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != "NAME_UNKNOWN" {
		return err
	}
	p.Message += ": " + name
	all, listErr := h.pages(ctx, "/acr/v1/_catalog", nil, oci.CatalogAccess(), "repositories", 0)
	if listErr != nil {
		return p
	}
	var names []string
	for _, one := range all {
		text, _ := one.(string)
		names = append(names, text)
	}
	if right := nearest.Word(name, names); right != "" {
		return p.Hint("did you mean --repository %s?", right)
	}
	return p
}

// listOf lists what a repository has of one kind: one member of each, or with --detail,
// or where there is none, the whole.
func (c *call) listOf(ctx context.Context, path, member, shown string) (any, error) {
	top, err := c.top()
	if err != nil {
		return nil, err
	}
	h, err := c.host(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	repository := c.text("repository")
	all, err := h.pages(ctx, "/acr/v1/"+repository+"/"+path, c.order(), oci.RepositoryAccess(repository, oci.MetadataRead), member, top)
	err = c.unknownRepository(ctx, h, repository, err)
	if err != nil || c.toggle("detail") {
		return all, err
	}
	for i, entry := range all {
		m, _ := entry.(map[string]any) // the API has nothing else
		if shown != "" {
			all[i] = m[shown]
		} else {
			all[i] = document{"digest": m["digest"], "tags": m["tags"], "timestamp": m["lastUpdateTime"]}
		}
	}
	return all, nil
}

// image reads --image, or --repository as a whole.
func (c *call) image() (oci.Reference, error) {
	repository, image := c.text("repository"), c.text("image")
	if (repository == "") == (image == "") {
		return oci.Reference{}, invalidArgument("give one of --repository and --image")
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

// metadata is the path of what a reference means in the metadata API, and the member of
// the answer that describes it; none for a repository.
func metadata(ref oci.Reference) (path, member string) {
	switch path = "/acr/v1/" + ref.Repository; {
	case ref.Digest != "":
		return path + "/_manifests/" + ref.Digest.String(), "manifest"
	case ref.Tag != "":
		return path + "/_tags/" + ref.Tag, "tag"
	}
	return path, ""
}

// describe sends a request about a reference to the metadata API.
func (h host) describe(ctx context.Context, method string, ref oci.Reference, in any, actions ...oci.Action) (any, error) {
	path, member := metadata(ref)
	var body document
	if _, err := h.do(ctx, method, path, oci.RepositoryAccess(ref.Repository, actions...), in, &body); err != nil {
		return nil, err
	}
	if member != "" {
		return body[member], nil
	}
	return body, nil
}

func showRepository(ctx context.Context, c *call) (any, error) {
	ref, err := c.image()
	if err != nil {
		return nil, err
	}
	h, err := c.host(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	return h.describe(ctx, "GET", ref, nil, oci.MetadataRead)
}

// lockFlags are the switches of repositories, tags and manifests, and their names in the
// API.
var lockFlags = map[string]string{"delete-enabled": "deleteEnabled", "write-enabled": "writeEnabled", "read-enabled": "readEnabled", "list-enabled": "listEnabled"}

func (c *call) locks() (document, error) {
	change := document{}
	for name, member := range lockFlags {
		if c.given(name) {
			change[member] = c.yes(name)
		}
	}
	if len(change) == 0 {
		return nil, invalidArgument("give what to change: --delete-enabled, --write-enabled, --read-enabled or --list-enabled")
	}
	return change, nil
}

func updateRepository(ctx context.Context, c *call) (any, error) {
	ref, err := c.image()
	if err != nil {
		return nil, err
	}
	change, err := c.locks()
	if err != nil {
		return nil, err
	}
	h, err := c.host(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	return h.describe(ctx, "PATCH", ref, change, oci.MetadataWrite, oci.MetadataRead)
}

// deleteRepository deletes a repository, or the manifest of an image with all its tags.
func deleteRepository(ctx context.Context, c *call) (any, error) {
	ref, err := c.image()
	if err != nil {
		return nil, err
	}
	h, err := c.host(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	if err := c.confirm("This deletes '" + ref.Name() + "' with everything below it."); err != nil {
		return nil, err
	}
	if ref.Tag != "" || ref.Digest != "" {
		return nil, h.deleteManifest(ctx, ref)
	}
	var body document
	_, err = h.do(ctx, "DELETE", "/acr/v1/"+ref.Repository, oci.RepositoryAccess(ref.Repository, oci.Delete, oci.MetadataRead), nil, &body)
	return body, err
}

func untag(ctx context.Context, c *call) (any, error) {
	ref, err := oci.ParseName(c.text("image"))
	if err != nil || ref.Digest != "" {
		return nil, invalidArgument("--image %s is not repository:tag", c.text("image"))
	}
	h, err := c.host(ctx, c.text("name"))
	if err != nil {
		return nil, err
	}
	_, err = h.do(ctx, "DELETE", "/acr/v1/"+ref.Repository+"/_tags/"+ref.Tag, oci.RepositoryAccess(ref.Repository, oci.Delete), nil, nil)
	return nil, err
}

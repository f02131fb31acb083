package registryclient

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/secret"
)

// manifestTypes are what a tag may mean: an index of platforms first, as builders ask.
var manifestTypes = []string{
	ocispec.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.list.v2+json",
	ocispec.MediaTypeImageManifest, "application/vnd.docker.distribution.manifest.v2+json", "*/*",
}

// Digest asks what a tag means where a host's content is read: "" if there is no such tag. It
// asks as the user, or as nobody if the name is empty, and moves no content where the registry
// says the digest in answer to HEAD (OCI Distribution, "Checking if content exists in the
// registry"). The error is a *Refusal if the registry does not say it to this user, and a *Busy
// if it does not say it now.
func (c *Client) Digest(ctx context.Context, host, repository, tag, username string, password secret.String) (string, error) {
	l := c.login(host, username, password)
	if egress.CanonicalHost(host) == "docker.io" && !strings.Contains(repository, "/") {
		repository = "library/" + repository
	}
	address := l.place.Base() + "/" + repository + "/manifests/" + tag
	accept := http.Header{"Accept": {strings.Join(manifestTypes, ", ")}}
	got, err := l.ask(ctx, http.MethodHead, address, accept)
	if err == nil && silent(got) {
		got, err = l.ask(ctx, http.MethodGet, address, accept)
	}
	if err != nil {
		return "", err
	}
	if got.Status == http.StatusNotFound {
		return "", nil
	}
	if err := judge(host, got); err != nil {
		return "", err
	}
	return digestOf(host, got)
}

// silent reports whether an answer to HEAD leaves open what GET says: the digest, or in its body
// why it is refused.
func silent(a Answer) bool {
	switch a.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed:
		return true
	}
	return a.Status == http.StatusOK && said(a) == ""
}

// said is the digest that an answer says; "" if it says none.
func said(a Answer) string {
	named, err := digest.Parse(a.Header.Get("Docker-Content-Digest"))
	if err != nil {
		return ""
	}
	return named.String()
}

// digestOf is what an answer says, or what comes of its body.
func digestOf(host string, a Answer) (string, error) {
	if named := said(a); named != "" {
		return named, nil
	}
	if len(a.Body) == 0 || len(a.Body) == maxAnswer {
		return "", fmt.Errorf("%s says no digest", host)
	}
	return digest.FromBytes(a.Body).String(), nil
}

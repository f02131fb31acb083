package imagestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	cref "github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/acrux/acrux/internal/registryclient"
)

// Refusal is a registry's answer to a request that it does not grant. Its Error is
// made of lines: first what a docker client would print, then what the registry says
// about the reason.
type Refusal struct {
	registryclient.Refusal // by the registry that the image names
	Image                  string
	Code                   string // of the registry, in words: "denied", "manifest unknown"
	Text                   []string
}

// Error implements error.
func (r *Refusal) Error() string { return strings.Join(r.Text, "\n") }

// RefusalIn is what a registry said if err is a *Refusal, or nil.
func RefusalIn(err error) *registryclient.Refusal {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return &refusal.Refusal
	}
	return nil
}

// AtRegistry reports whether err came about at a registry or on the way to it, as
// opposed to in the store: a *Refusal, an unreachable host, an answer of no use.
func AtRegistry(err error) bool {
	var refusal *Refusal
	var request *url.Error
	var status remoteerrors.ErrUnexpectedStatus
	return errors.As(err, &refusal) || errors.As(err, &request) || errors.As(err, &status)
}

// transferError is any other error on the way to or from a registry.
type transferError struct {
	image  string
	err    error
	advice string // lines, or empty
}

// Error implements error.
func (e *transferError) Error() string {
	text := e.image + ": " + Redact(e.err.Error())
	if e.advice != "" {
		text += "\n" + e.advice
	}
	return text
}

// Unwrap gives the cause.
func (e *transferError) Unwrap() error { return e.err }

var query = regexp.MustCompile(`(https?://[^\s"'?]+)\?[^\s"']+`)

// Redact takes the queries off the addresses in a text: registries sign the addresses
// of blobs there, and who has such an address has the blob.
func Redact(text string) string { return query.ReplaceAllString(text, "$1") }

type direction int

const (
	pulling direction = iota
	pushing
)

// refused turns err into a *Refusal if a registry refused. The errors of the libraries
// hide the reason, because they come from requests whose answers have no body; so the
// registry is asked once more. What is no refusal is returned with the image's name.
func (r *Run) refused(ctx context.Context, image reference.Named, way direction, err error) error {
	var status remoteerrors.ErrUnexpectedStatus
	refusal := &Refusal{Refusal: registryclient.Refusal{Host: reference.Domain(image)}, Image: reference.FamiliarString(image)}
	var body []byte
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &status) && (status.StatusCode == 401 || status.StatusCode == 403 || status.StatusCode == 404):
		refusal.Status, body = status.StatusCode, status.Body
	case errors.Is(err, docker.ErrInvalidAuthorization):
		refusal.Status = http.StatusUnauthorized
	case errdefs.IsNotFound(err):
		refusal.Status = http.StatusNotFound
	default:
		return &transferError{image: reference.FamiliarString(image), err: err,
			advice: r.registries.Dialer.Advice(reference.Domain(image), err)}
	}
	if code, again, probeErr := r.probe(ctx, image, way); probeErr == nil && (len(body) == 0 || len(again) > 0) && code >= 400 {
		refusal.Status, body = code, again
	}
	var said registryclient.Reason
	if refusal.Reasons = registryclient.Reasons(body); len(refusal.Reasons) > 0 {
		said = refusal.Reasons[0]
	}
	if refusal.Code = said.Words(); refusal.Code == "" {
		refusal.Code = strings.ToLower(http.StatusText(refusal.Status))
	}
	refusal.Text = slices.Concat([]string{refusal.headline(image, way, said.Message)}, said.Detail, said.Hints)
	if _, _, ok := r.login.find(reference.Domain(image)); !ok {
		refusal.Text = append(refusal.Text, fmt.Sprintf("the run has no credential for the registry %s", reference.Domain(image)))
	}
	if called := r.registries.Dialer.Called(reference.Domain(image)); called != "" {
		refusal.Text = append(refusal.Text, lines(called)...)
	}
	return refusal
}

// headline is what a docker client prints.
func (r *Refusal) headline(image reference.Named, way direction, message string) string {
	text := r.Code
	if message != "" {
		text += ": " + message
	}
	switch {
	case way == pushing:
		return text
	case r.Status == http.StatusNotFound:
		return fmt.Sprintf("manifest for %s not found: %s", r.Image, text)
	}
	return fmt.Sprintf("pull access denied for %s, repository does not exist or may require 'docker login': %s", reference.FamiliarName(image), text)
}

// probe asks for what was refused with a request whose answer has a body.
func (r *Run) probe(ctx context.Context, image reference.Named, way direction) (int, []byte, error) {
	spec, err := cref.Parse(image.String())
	if err != nil {
		return 0, nil, err
	}
	hosts, err := r.hosts(spec.Hostname())
	if err != nil {
		return 0, nil, err
	}
	host := hosts[len(hosts)-1] // the registry itself comes last
	if ctx, err = docker.ContextWithRepositoryScope(ctx, spec, way == pushing); err != nil {
		return 0, nil, err
	}
	method, path := http.MethodGet, "/manifests/"+spec.Object
	if _, digest, ok := strings.Cut(spec.Object, "@"); ok {
		path = "/manifests/" + digest
	}
	if way == pushing {
		method, path = http.MethodPost, "/blobs/uploads/"
	}
	address := host.Scheme + "://" + host.Host + host.Path + "/" + reference.Path(image) + path
	code, body, err := ask(ctx, host, method, address)
	var status remoteerrors.ErrUnexpectedStatus
	if errors.As(err, &status) { // the token service refused
		return status.StatusCode, status.Body, nil
	}
	return code, body, err
}

// ask sends one request, with what authorization the registry wants.
func ask(ctx context.Context, host docker.RegistryHost, method, address string) (int, []byte, error) {
	for attempt := 0; ; attempt++ {
		req, err := http.NewRequestWithContext(ctx, method, address, nil)
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*")
		if err := host.Authorizer.Authorize(ctx, req); err != nil {
			return 0, nil, err
		}
		resp, err := host.Client.Do(req)
		if err != nil {
			return 0, nil, err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		resp.Body.Close()
		if err != nil {
			return 0, nil, err
		}
		if resp.StatusCode == http.StatusUnauthorized && attempt == 0 && host.Authorizer.AddResponses(ctx, []*http.Response{resp}) == nil {
			continue
		}
		return resp.StatusCode, body, nil
	}
}

func lines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return line == "" })
}

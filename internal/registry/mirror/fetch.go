package mirror

import (
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registryclient"
)

// fetcher is one import on its way.
type fetcher struct {
	*Imports
	op       Operation
	order    order
	progress progress

	transport *http.Transport // guarded
	signedIn  http.RoundTripper
	source    name.Reference
}

// maxImport is how long an import may take from when it is taken up. A source that sends
// a byte now and then must not hold a place for ever.
const maxImport = 24 * time.Hour

var errTooLong = errors.New("it took longer than an import may")

// fetch copies the source of an operation into its targets.
func (m *Imports) fetch(ctx context.Context, op Operation) error {
	o, err := m.order(op)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, maxImport, errTooLong)
	defer cancel()
	f := &fetcher{Imports: m, op: op, order: o, transport: m.Dialer.TransportOf(o.Source.Host)}
	defer f.transport.CloseIdleConnections()
	if err := f.signIn(ctx); err != nil {
		return f.explain(err)
	}
	content, err := f.survey(ctx)
	if err != nil {
		return f.explain(err)
	}
	if err := f.fill(ctx, content); err != nil {
		return f.explain(err)
	}
	return nil
}

// fill brings the content into each target repository: what is the same blob is fetched
// once.
func (f *fetcher) fill(ctx context.Context, content *content) error {
	var repositories []string
	tags := map[string][]string{}
	for _, goal := range f.order.Targets {
		if !slices.Contains(repositories, goal.Repository) {
			repositories = append(repositories, goal.Repository)
		}
		if goal.Tag != "" {
			tags[goal.Repository] = append(tags[goal.Repository], goal.Tag)
		}
	}
	for i, repository := range repositories {
		to := repositoryOf(f.op.Registry, repository)
		if i > 0 {
			if err := f.share(ctx, to, repositoryOf(f.op.Registry, repositories[0]), content.blobs); err != nil {
				return err
			}
		}
		if err := f.blobs(ctx, to, content.blobs); err != nil {
			return err
		}
		if err := f.manifests(ctx, to, content.manifests, tags[repository]); err != nil {
			return err
		}
	}
	return nil
}

// manifests keeps manifests, the last one under tags: all tags or none. An import that was
// interrupted finds its own work done; a tag that has come to name something else
// meanwhile is moved by force only.
func (f *fetcher) manifests(ctx context.Context, to registry.Name, all []*remote.Descriptor, tags []string) error {
	for i, m := range all {
		push := registry.Push{Name: to, Reference: m.Digest.String(), OnlyNew: !f.order.Force, MediaType: string(m.MediaType), Body: m.Manifest, Actor: f.order.Caller, Now: time.Now()}
		if i == len(all)-1 {
			push.Tags = tags
		}
		if _, err := f.Content.PutManifest(ctx, push); err != nil {
			return err
		}
	}
	return nil
}

// signIn finds where the source is, a mirror if there is one, and asks for a token there
// if that is the way.
func (f *fetcher) signIn(ctx context.Context) error {
	ref, mirrored, err := f.reference()
	if err != nil {
		return err
	}
	f.source = ref
	auth := authn.Anonymous
	if !mirrored { // a mirror never gets credentials
		auth = f.authenticator(ctx, ref.Context().Registry)
	}
	base := transport.NewRetry(transport.NewUserAgent(f.secured(mirrored), "acrux"), transport.WithRetryStatusCodes(passing...),
		transport.WithRetryBackoff(transport.Backoff{Duration: f.pause(), Factor: 3, Steps: 3}))
	f.signedIn, err = transport.NewWithContext(ctx, ref.Context().Registry, auth, base, []string{ref.Context().Scope(transport.PullScope)})
	return err
}

// secured is the transport to the source. The library would speak to private addresses and
// names without TLS when they do not answer with it.
func (f *fetcher) secured(mirrored bool) http.RoundTripper {
	host := f.source.Context().RegistryStr()
	if mirrored || f.Dialer.PlainHTTP(host) {
		return f.transport
	}
	return egress.OnlyTLS(host, f.transport)
}

// passing are statuses after which it may be well to ask again.
var passing = []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// reference is what to fetch, at a mirror if there is one.
func (f *fetcher) reference() (ref name.Reference, mirrored bool, err error) {
	host, repository := f.order.Source.Host, f.order.Source.Image.Repository
	if strings.HasSuffix(host, "docker.io") && !strings.Contains(repository, "/") {
		repository = "library/" + repository
	}
	var nameOpts []name.Option
	place := registryclient.Reading(f.Dialer, host)
	if place.Mirror {
		host, repository = place.Host, path.Join(place.Path, repository)
		if place.Plain() {
			nameOpts = append(nameOpts, name.Insecure)
		}
	}
	reference := host + "/" + repository
	if d := f.order.Source.Image.Digest; d != "" {
		reference += "@" + d.String()
	} else {
		reference += ":" + f.order.Source.Image.Tag
	}
	ref, err = name.ParseReference(reference, nameOpts...)
	if err != nil {
		err = invalid("source", "The source '%s' is not valid: %v.", reference, err)
	}
	return ref, place.Mirror, err
}

// explain turns what the other registry or the network said into a problem.
func (f *fetcher) explain(err error) error {
	what := f.order.Source.Image.Name()
	host := f.order.Source.Host
	var terr *transport.Error
	var p *problem.Error
	switch {
	case errors.As(err, &p) && p.Code == "DIGEST_INVALID":
		return problem.New(problem.Unavailable, "SourceFailed", "The registry '%s' sent something else for '%s' than its digest says: %s.", host, what, p.Target).Because(err)
	case errors.As(err, &p):
		return p
	case incomplete(err, host, what) != nil:
		return incomplete(err, host, what)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, ErrNoOperation):
		return err // ours
	case errors.As(err, &terr) && terr.StatusCode == http.StatusNotFound:
		return problem.New(problem.NotFound, "ImageNotFound", "The image '%s' was not found at '%s'.", what, host).Because(err)
	case errors.As(err, &terr) && (terr.StatusCode == http.StatusUnauthorized || terr.StatusCode == http.StatusForbidden):
		return problem.New(problem.Denied, "SourceDenied", "The registry '%s' refused access to '%s' (%d%s).", host, what, terr.StatusCode, said(terr)).Because(err).
			Hint("give --username and --password of someone who may pull there")
	case errors.As(err, &terr):
		return problem.New(problem.Unavailable, "SourceFailed", "The registry '%s' answered %d for '%s'%s.", host, terr.StatusCode, what, said(terr)).Because(err)
	}
	unreachable := problem.New(problem.Unavailable, "SourceUnreachable", "The image '%s' could not be fetched from '%s': %v.", what, host, err).Because(err)
	return advise(unreachable, f.Dialer.Advice(host, err))
}

// advise adds the lines of an advice to a problem.
func advise(p *problem.Error, advice string) *problem.Error {
	for line := range strings.SplitSeq(advice, "\n") {
		if hint := strings.TrimPrefix(line, "hint: "); hint != "" {
			p.Hint("%s", strings.ToUpper(hint[:1])+hint[1:]) // an operation has one text, of sentences
		}
	}
	return p
}

func said(err *transport.Error) string {
	if len(err.Errors) == 0 {
		return ""
	}
	return ": " + err.Errors[0].Message
}

package buildkit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	dockerfilefrontend "github.com/moby/buildkit/frontend/dockerfile/builder"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/sandbox/buildlog"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// frontend stands between the Dockerfile frontend and BuildKit, for one build: see the
// package comment for what it sees to.
type frontend struct {
	gateway.Client
	run      *imagestore.Run
	place    Place // of a remote BuildKit, or nil
	secrets  secrets
	observer observer
	options  map[string]string // instead of the client's, if not nil

	*findings
}

// observer is told what a log needs to know.
type observer interface {
	// base: an image was resolved for this name, by the registry or, if local, by the
	// run's own images. BuildKit knows it as ref.
	base(image reference.Named, ref string, found imagestore.Image, local bool)
	// defined: the graph of the build is known.
	defined(*pb.Definition)
	// warned: reading the Dockerfile, in this vertex, found what is to be told.
	warned(vertex digest.Digest, warning buildlog.Warning)
}

// findings is what was learned on the way.
type findings struct {
	mu       sync.Mutex
	resolved map[string]digest.Digest // by normalized name; only what a registry resolved
	granted  map[string]bool          // images that the build may use: digests, or names in a place
	failed   string                   // normalized name of the base image that could not be had
	failure  error
	commands map[string][]string // arguments of RUN by digest of their vertex
	making   map[string]bool     // digests of the vertices that make layers
	foreign  map[string]string   // platforms of RUN that are not this machine's, by digest of their vertex
}

// ResolveImageConfig implements gateway.Client.
func (f *frontend) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	if opt.OCILayoutOpt != nil {
		return "", "", nil, fmt.Errorf("%s: images from an OCI layout are not supported", ref)
	}
	named, err := imagestore.Parse(ref)
	if err != nil {
		return "", "", nil, err
	}
	var platform *ocispec.Platform
	if opt.ImageOpt != nil {
		platform = opt.ImageOpt.Platform
	}
	own, ok, err := f.run.Built(ctx, named, platform)
	if err != nil {
		return "", "", nil, err
	}
	if ok {
		return f.grant(ctx, named, f.run.Name(named), own, true)
	}
	image, err := f.run.Resolve(ctx, named, platform)
	if err == nil && f.place != nil {
		err = f.run.Fetch(ctx, named, image)
	}
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.failure == nil && ctx.Err() == nil { // another's failure ends this one
			f.failed, f.failure = named.String(), err
		}
		return "", "", nil, err
	}
	return f.grant(ctx, named, ref, image, false)
}

// grant lets the build use an image: by digest, under ref, or by its name in the place of
// a remote BuildKit, which finds there what it would else look for at a registry.
func (f *frontend) grant(ctx context.Context, named reference.Named, ref string, image imagestore.Image, local bool) (string, digest.Digest, []byte, error) {
	target := image.Target.Digest
	granted := target.String()
	if f.place != nil {
		var err error
		if ref, err = f.place.Offer(ctx, named, image); err != nil {
			return "", "", nil, err
		}
		target, granted = "", ref
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.granted[granted] = true
	if !local {
		f.resolved[named.String()] = image.Target.Digest
	}
	f.observer.base(named, ref, image, local)
	if f.place == nil && !strings.Contains(ref, "@") {
		// For an image of a FROM the frontend adds the digest, for one that --build-context
		// names it does not.
		ref += "@" + granted
	}
	return ref, target, image.JSON, nil
}

// ResolveSourceMetadata implements gateway.Client. Images are resolved here only by
// ResolveImageConfig.
func (f *frontend) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	if err := f.checkSources([]operation{{Op: &pb.Op{Op: &pb.Op_Source{Source: op}}}}); err != nil {
		return nil, err
	}
	return f.Client.ResolveSourceMetadata(ctx, op, opt)
}

// BuildOpts implements gateway.Client.
func (f *frontend) BuildOpts() gateway.BuildOpts {
	opts := f.Client.BuildOpts()
	if f.options != nil {
		opts.Opts = f.options
	}
	return opts
}

// Solve implements gateway.Client. Whoever asks for another frontend gets the one we
// have, if that is what it means.
func (f *frontend) Solve(ctx context.Context, req gateway.SolveRequest) (*gateway.Result, error) {
	if req.Frontend != "" {
		return f.forward(ctx, req)
	}
	if req.Definition != nil {
		ops, err := readDefinition(req.Definition)
		if err != nil {
			return nil, err
		}
		if err := f.checkSources(ops); err != nil {
			return nil, err
		}
		if ops, err = f.secrets.keep(req.Definition, ops); err != nil {
			return nil, err
		}
		f.note(ops)
		f.observer.defined(req.Definition)
	}
	return f.Client.Solve(ctx, req)
}

// Warn implements gateway.Client. BuildKit is not told: it would hand the warning back with
// the whole Dockerfile, each time, and older Docker Engines know of none.
func (f *frontend) Warn(_ context.Context, vertex digest.Digest, text string, opts gateway.WarnOpts) error {
	f.observer.warned(vertex, warningAt(text, opts.Range))
	return nil
}

// warningAt is a warning about some lines of the Dockerfile.
func warningAt(text string, ranges []*pb.Range) buildlog.Warning {
	w := buildlog.Warning{Text: text}
	if len(ranges) > 0 {
		w.Start, w.End = int(ranges[0].Start.Line), int(ranges[len(ranges)-1].End.Line)
	}
	return w
}

// frontends are the names of the frontend that is built in, with the host that gives them:
// what has such a path at another host is somebody else's.
var frontends = map[string]bool{"docker.io/docker/dockerfile": true, "docker.io/docker/dockerfile-upstream": true}

func (f *frontend) forward(ctx context.Context, req gateway.SolveRequest) (*gateway.Result, error) {
	image := req.FrontendOpt["source"]
	named, err := imagestore.Parse(image)
	if err != nil {
		return nil, err
	}
	if req.Frontend != "gateway.v0" || !frontends[named.Name()] {
		return nil, fmt.Errorf("the syntax directive names the frontend %s: only docker/dockerfile is supported", image)
	}
	inner := *f
	inner.options = maps.Clone(f.BuildOpts().Opts)
	maps.Copy(inner.options, req.FrontendOpt) // has "cmdline", which says that this was done
	return dockerfilefrontend.Build(ctx, &inner)
}

// note remembers the commands, for the message of a failing one, and which vertices
// make layers.
func (f *frontend) note(ops []operation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, op := range ops {
		if exec := op.GetExec(); exec != nil {
			f.commands[op.digest.String()] = exec.GetMeta().GetArgs()
			if platform := foreign(op.GetPlatform()); platform != "" {
				f.foreign[op.digest.String()] = platform
			}
		}
		if op.GetExec() != nil || op.GetFile() != nil {
			f.making[op.digest.String()] = true
		}
	}
}

// layers counts the vertices that made layers, and those that the cache had; completed
// says which ended, and which of them were cached.
func (f *findings) layers(completed map[string]bool) (total, cached int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for vertex := range f.making {
		was, ended := completed[vertex]
		if ended {
			total++
		}
		if was {
			cached++
		}
	}
	return total, cached
}

// operation is one vertex of a definition.
type operation struct {
	*pb.Op
	digest digest.Digest
}

// readDefinition decodes the vertices. Inputs come before what uses them.
func readDefinition(definition *pb.Definition) ([]operation, error) {
	var ops []operation
	for _, data := range definition.Def {
		op := &pb.Op{}
		if err := op.UnmarshalVT(data); err != nil {
			return nil, fmt.Errorf("reading the definition of a build: %w", err)
		}
		ops = append(ops, operation{op, digest.FromBytes(data)})
	}
	return ops, nil
}

// checkSources lets a build have only what it may, before anything is begun: images
// that were resolved here, the run's own files, and what the guarded dialer fetches. Devices
// are none of it; those of a base image's ONBUILD show here.
func (f *frontend) checkSources(ops []operation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, op := range ops {
		if len(op.GetExec().GetCdiDevices()) > 0 {
			return errDevices
		}
		source := op.GetSource()
		if source == nil {
			continue
		}
		scheme, name, _ := strings.Cut(source.Identifier, "://")
		if f.place != nil && (scheme == "http" || scheme == "https") {
			return errPastGuard
		}
		switch scheme {
		case "local", "http", "https":
		case "docker-image":
			if _, d, ok := strings.Cut(name, "@"); !f.granted[d] && (ok || !f.granted[name]) {
				return fmt.Errorf("image %s was not resolved by this build", name)
			}
		case "git":
			return errRefusedSource
		default:
			return fmt.Errorf("a source of the kind %q is not supported", scheme)
		}
	}
	return nil
}

var errRefusedSource = errors.New("ADD from a git repository is not supported: use the repository as the build context, or fetch it in a step before")

var errPastGuard = errors.New("ADD from the web is not allowed by this server's egress policy: the container engine would fetch it, past the policy; fetch it in a step before")

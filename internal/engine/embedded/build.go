//go:build linux && cgo

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/buildkit"
	"github.com/acrux/acrux/internal/engine/imagestore"
)

// Build implements engine.Scope.
func (s *Scope) Build(ctx context.Context, b engine.Build, out io.Writer) (engine.BuildResult, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return engine.BuildResult{}, err
	}
	defer done()
	if text := s.refuseBuild(&b); text != "" {
		_, err := fmt.Fprintln(out, text)
		return engine.BuildResult{ExitCode: 1}, err
	}
	var hide func(string) string
	if b.Mask != nil {
		hide = b.Mask.Text
	}
	result, err := s.executor.builder.Build(ctx, buildkit.Request{
		RunID: s.spec.ID, Images: s.images, Login: s.login,
		Workspace: s.spec.Workspace, ContextDir: b.ContextDir, Dockerfile: b.Dockerfile, Tags: b.Tags, Args: b.Args, Labels: b.Labels,
		Target: b.Target, Platform: b.Platform, NoCache: b.NoCache, AddHosts: b.AddHosts,
		NoNetwork: b.Network == "none", Secrets: b.Secrets, Hide: hide, Plain: b.BuildKit,
		CacheScope: s.cacheScope(), CacheFrom: caches(b.CacheFrom), CacheTo: caches(b.CacheTo),
		Keys: b.Keys, Contexts: b.Contexts, ShmSize: b.ShmSize, Ulimits: b.Ulimits,
	}, out)
	if err != nil {
		return engine.BuildResult{}, err
	}
	built := engine.BuildResult{
		OK: result.OK, ImageID: result.ImageID, Digest: result.Digest,
		Layers: engine.Layers{Total: result.Layers, Cached: result.Cached},
	}
	if !result.OK {
		built.ExitCode = 1
	}
	for _, base := range result.Bases {
		built.Bases = append(built.Bases, engine.BaseImage(base))
	}
	return built, nil
}

func caches(from []engine.Cache) []buildkit.Cache {
	var to []buildkit.Cache
	for _, cache := range from {
		to = append(to, buildkit.Cache(cache))
	}
	return to
}

// cacheScope names the scope of the run's cache. It is a digest: what the control plane
// calls the scope may have any form, and no other scope's name may begin like it.
func (s *Scope) cacheScope() string {
	name := "run/" + s.spec.ID
	if s.spec.CacheScope != "" {
		name = "scope/" + s.spec.CacheScope
	}
	return digest.FromString(name).Encoded()
}

// refuseBuild says what of a build is refused. It replaces the paths by real ones.
func (s *Scope) refuseBuild(b *engine.Build) string {
	switch b.Network {
	case "", "default", "none":
	default:
		return fmt.Sprintf("network mode %q is not allowed in builds", b.Network)
	}
	for _, host := range b.AddHosts {
		if name, addr, ok := strings.Cut(host, ":"); !ok || name == "" || addr == "" || strings.ContainsAny(host, ",=") {
			return fmt.Sprintf("invalid argument %q for \"--add-host\" flag: bad format for add-host: %q", host, host)
		}
	}
	var ok bool
	if b.ContextDir, ok = s.real(b.ContextDir); !ok {
		return fmt.Sprintf("unable to prepare context: %s leads out of the workspace", b.ContextDir)
	}
	if b.Dockerfile, ok = s.real(b.Dockerfile, b.ContextDir); !ok {
		return fmt.Sprintf("unable to prepare context: the Dockerfile must be within the build context: %s", b.Dockerfile)
	}
	return ""
}

// real follows the symbolic links of a path that comes from someone's sources. They
// must not lead out of the workspace or the given directory: what lies elsewhere is
// the machine's. What does not exist is left to be reported as such.
func (s *Scope) real(path string, within ...string) (string, bool) {
	path = filepath.Clean(path)
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil || resolved == path {
		return path, true
	}
	for _, dir := range append(within, s.spec.Workspace) {
		if top, err := filepath.EvalSymlinks(dir); err == nil && dir != "" && strings.HasPrefix(resolved+"/", top+"/") {
			return resolved, true
		}
	}
	return path, false
}

// Pull implements engine.Puller.
func (s *Scope) Pull(ctx context.Context, image string, out io.Writer) (engine.PullResult, error) {
	var pulled imagestore.Image
	ok, err := s.transfer(ctx, image, out, func(ctx context.Context, named reference.Named) (err error) {
		pulled, err = s.images.Pull(ctx, named, out)
		return err
	})
	return engine.PullResult{OK: ok, Digest: pulled.Target.Digest.String()}, err
}

// Push implements engine.Scope.
func (s *Scope) Push(ctx context.Context, image string, out io.Writer) (engine.PushResult, error) {
	var manifest ocispec.Descriptor
	ok, err := s.transfer(ctx, image, out, func(ctx context.Context, named reference.Named) (err error) {
		manifest, err = s.images.Push(ctx, named, out)
		return err
	})
	return engine.PushResult{OK: ok, Digest: manifest.Digest.String(), Size: manifest.Size}, err
}

// transfer does what goes to or comes from a registry, and tells out why it did not
// work if the reason lies there.
func (s *Scope) transfer(ctx context.Context, image string, out io.Writer, do func(context.Context, reference.Named) error) (bool, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	named, err := imagestore.Parse(image)
	if err != nil {
		_, err = fmt.Fprintln(out, err)
		return false, err
	}
	err = do(ctx, named)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case imagestore.AtRegistry(err), errors.Is(err, imagestore.ErrNoPlatform), errors.Is(err, imagestore.ErrNoImage):
		_, err = fmt.Fprintln(out, err)
	}
	return false, err
}

// Package runimages is what executors have in common that keep the images of a run in an
// imagestore: it puts builds, pulls and pushes of the engine in the terms of the store
// and of BuildKit, and refuses what no executor does.
package runimages

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/sandbox/buildkit"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
	"github.com/acrux/acrux/internal/secret"
)

// Login gives the store a run's credentials.
func Login(credentials engine.Credentials) imagestore.Login {
	return func(host string) (string, secret.String, bool) {
		if credentials == nil {
			return "", secret.String{}, false
		}
		c, ok := credentials.Credential(host)
		return c.Username, c.Password, ok
	}
}

// Request puts a build in BuildKit's terms. A refusal, if not empty, is what a docker
// client would print instead of building.
func Request(spec engine.RunSpec, images *imagestore.Run, b engine.Build) (request buildkit.Request, refusal string) {
	if text := refuse(spec.Workspace, &b); text != "" {
		return buildkit.Request{}, text
	}
	var hide func(string) string
	if b.Mask != nil {
		hide = b.Mask.Text
	}
	return buildkit.Request{
		RunID: spec.ID, Images: images, Login: Login(spec.Credentials),
		Workspace: spec.Workspace, ContextDir: b.ContextDir, Dockerfile: b.Dockerfile, Tags: b.Tags, Args: b.Args, Labels: b.Labels,
		Target: b.Target, Platform: b.Platform, NoCache: b.NoCache, AddHosts: b.AddHosts,
		NoNetwork: b.Network == "none", Secrets: b.Secrets, Hide: hide, Plain: b.BuildKit,
		CacheScope: CacheScope(spec), CacheFrom: caches(b.CacheFrom), CacheTo: caches(b.CacheTo),
		Keys: b.Keys, Contexts: b.Contexts, ShmSize: b.ShmSize, Ulimits: b.Ulimits,
	}, ""
}

func caches(from []engine.Cache) []buildkit.Cache {
	var to []buildkit.Cache
	for _, cache := range from {
		to = append(to, buildkit.Cache(cache))
	}
	return to
}

// CacheScope names the scope of the run's cache. It is a digest: what the control plane
// calls the scope may have any form, and no other scope's name may begin like it.
func CacheScope(spec engine.RunSpec) string {
	name := "run/" + spec.ID
	if spec.CacheScope != "" {
		name = "scope/" + spec.CacheScope
	}
	return digest.FromString(name).Encoded()
}

// Result puts the end of a build in the engine's terms.
func Result(result buildkit.Result) engine.BuildResult {
	built := engine.BuildResult{
		OK: result.OK, ImageID: result.ImageID, Digest: result.Digest, Refused: result.Refused,
		Layers: engine.Layers{Total: result.Layers, Cached: result.Cached},
	}
	if !result.OK {
		built.ExitCode = 1
	}
	for _, base := range result.Bases {
		built.Bases = append(built.Bases, engine.BaseImage(base))
	}
	return built
}

// refuse says what of a build is refused. It replaces the paths by real ones.
func refuse(workspace string, b *engine.Build) string {
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
	if b.ContextDir, ok = resolve(b.ContextDir, workspace); !ok {
		return fmt.Sprintf("unable to prepare context: %s leads out of the workspace", b.ContextDir)
	}
	if b.Dockerfile, ok = resolve(b.Dockerfile, b.ContextDir, workspace); !ok {
		return fmt.Sprintf("unable to prepare context: the Dockerfile must be within the build context: %s", b.Dockerfile)
	}
	return ""
}

// resolve follows the symbolic links of a path that comes from someone's sources. They
// must not lead out of the given directories: what lies elsewhere is the machine's. What
// does not exist is left to be reported as such.
func resolve(path string, within ...string) (string, bool) {
	path = filepath.Clean(path)
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil || resolved == path {
		return path, true
	}
	for _, dir := range within {
		if top, err := filepath.EvalSymlinks(dir); err == nil && dir != "" && strings.HasPrefix(resolved+"/", top+"/") {
			return resolved, true
		}
	}
	return path, false
}

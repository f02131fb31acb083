package dockerapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/source"
)

// build is docker build of the classic builder's client: the context comes as a tar.
func (h *Handler) build(w http.ResponseWriter, r *http.Request) error {
	build, err := readBuild(r)
	if err != nil {
		return err
	}
	dir, remove, err := h.engine.Directory()
	if err != nil {
		return err
	}
	defer remove()
	if err := source.Unpack(http.MaxBytesReader(w, r.Body, maxContext), dir, maxContext); err != nil {
		var failure engine.Failure
		if errors.As(err, &failure) {
			return problem.New(problem.Invalid, "BadContext", "the build context cannot be unpacked: %s", failure)
		}
		return fmt.Errorf("unpacking a build context: %w", err)
	}
	build.ContextDir = dir
	build.Dockerfile = filepath.Join(dir, filepath.FromSlash(build.Dockerfile))
	var result engine.BuildResult
	return stream(w, "stream", func(out io.Writer) (bool, error) {
		result, err = h.engine.Build(r.Context(), build, out)
		if lines, ok := out.(*lineStream); ok && err == nil && result.OK {
			lines.aux(map[string]string{"ID": result.ImageID})
		}
		return result.OK, err
	})
}

// errBuildKit is what clients get that bring their own BuildKit, as newer ones do.
var errBuildKit = problem.New(problem.Unsupported, "NotOffered", "BuildKit's own protocol is not offered to steps").
	Hint("use a build step, or give this one env: [DOCKER_BUILDKIT=0]")

func (h *Handler) buildkit(http.ResponseWriter, *http.Request) error { return errBuildKit }

// buildOptions are the parameters that a build looks at, and those that say nothing here:
// containers of a build are removed in any case, and a client that wants to be quiet, or a
// name for what it does, sees to that itself.
var buildOptions = []string{"version", "dockerfile", "t", "target", "platform", "nocache", "pull",
	"networkmode", "extrahosts", "shmsize", "buildargs", "labels",
	"cachefrom", "ulimits", "rm", "forcerm", "q", "buildid", "session"}

// readBuild reads the options of a build.
func readBuild(r *http.Request) (engine.Build, error) {
	query := r.URL.Query()
	if query.Get("version") == "2" {
		return engine.Build{}, errBuildKit
	}
	dockerfile := query.Get("dockerfile")
	if dockerfile == "" {
		dockerfile = "Dockerfile"
	}
	if !filepath.IsLocal(filepath.FromSlash(dockerfile)) {
		return engine.Build{}, problem.New(problem.Invalid, "BadDockerfile", "the Dockerfile (%s) must be within the build context", dockerfile)
	}
	build := engine.Build{
		Tags: query["t"], Dockerfile: dockerfile, Target: query.Get("target"), Platform: query.Get("platform"), NoCache: flag(r, "nocache"), Pull: flag(r, "pull"),
	}
	if mode := query.Get("networkmode"); mode != "default" {
		build.Network = mode
	}
	if hosts := query.Get("extrahosts"); hosts != "" {
		// A list in JSON, or one after the other.
		if json.Unmarshal([]byte(hosts), &build.AddHosts) != nil {
			build.AddHosts = strings.Split(hosts, ",")
		}
	}
	if size := query.Get("shmsize"); size != "" {
		var err error
		if build.ShmSize, err = strconv.ParseInt(size, 10, 64); err != nil || build.ShmSize < 0 {
			return engine.Build{}, problem.New(problem.Invalid, "BadOption", "the build option shmsize is %q", size)
		}
	}
	var args map[string]*string
	var caches []string
	var limits []ulimit
	lists := map[string]any{"buildargs": &args, "labels": &build.Labels, "cachefrom": &caches, "ulimits": &limits}
	for name, into := range lists {
		if text := query.Get(name); text != "" {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return engine.Build{}, problem.New(problem.Invalid, "BadOption", "the build option %s cannot be read: %v", name, err)
			}
		}
	}
	for _, ref := range caches {
		build.CacheFrom = append(build.CacheFrom, engine.Cache{Kind: "registry", Options: map[string]string{"ref": ref}})
	}
	for _, limit := range limits {
		build.Ulimits = append(build.Ulimits, limit.String())
	}
	build.Args = map[string]string{}
	for name, value := range args {
		if value != nil {
			build.Args[name] = *value
		}
	}
	return build, nil
}

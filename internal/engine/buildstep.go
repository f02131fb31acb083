package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// report is what is known of a build step, for the dependency report.
type report struct {
	dependencies []taskfile.Dependency
	commit       string
	bases        []BaseImage
	remote       bool // digests come from registries: BuildKit or a cache was used
}

// scanLimit bounds the scan of one step, its download included.
const scanLimit = 15 * time.Minute

// prepareBuild reads the arguments of a build step, fetches its context and scans it.
func (r *Run) prepareBuild(ctx context.Context, position int) (attempt, error) {
	step := &r.Plan.Steps[position]
	line, options, err := buildLines(r.Plan, step)
	if err != nil {
		return nil, err
	}
	if text := strings.ToLower(step.Build.Context.Text); strings.Contains(text, "github") && !strings.Contains(text, ".git") {
		r.Log.Printf("WARNING: %s might not be valid context. Valid Git repositories should end with .git.", text)
	}
	r.Log.Printf("Scanning for dependencies...")
	if err := r.scan(ctx, position, line, options); err != nil {
		var failure Failure
		if !errors.As(err, &failure) {
			return nil, err
		}
		r.Log.Printf("Output from dependency scanning: %s", failure)
		r.mu.Lock()
		r.reasons[step.ID] = failure.Cause()
		r.mu.Unlock()
		return nil, Failure("failed to scan dependencies: exit status 1")
	}
	r.Log.Printf("Successfully scanned dependencies")
	build, err := r.build(step, line, options)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, out *finder) error {
		return r.buildOnce(ctx, position, build, options.quiet, out)
	}, nil
}

func (r *Run) buildOnce(ctx context.Context, position int, build Build, quiet bool, out *finder) error {
	to := io.Writer(out)
	if quiet {
		to = io.Discard
	}
	result, err := r.Scope.Build(ctx, build, to)
	r.mu.Lock()
	r.layers.Total += result.Layers.Total
	r.layers.Cached += result.Layers.Cached
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if !result.OK {
		r.noteReason(r.Plan.Steps[position].ID, out)
		r.hint(out, result.Refused, false)
		return exitStatus(max(1, result.ExitCode))
	}
	if quiet {
		fmt.Fprintln(out, result.ImageID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports[position].bases = result.Bases
	return nil
}

// scan fetches a remote context and reads the base images from the Dockerfile.
func (r *Run) scan(ctx context.Context, position int, line *runLine, options *buildLine) error {
	step := &r.Plan.Steps[position]
	ctx, cancel := context.WithTimeoutCause(ctx, scanLimit, Failure("the scan took too long"))
	defer cancel()
	commit := r.Commit
	if step.Build.Context.Remote() {
		var err error
		if commit, err = r.fetch(ctx, step); err != nil {
			return err
		}
	}
	name, shown := options.dockerfile(buildDir(step))
	text, err := workspace(r.Workspace).read(name)
	if err != nil {
		workdir, _ := relative(buildDir(step))
		return Failure(fmt.Sprintf("error opening dockerfile: %s, error: open %s: %s%s", shown, shown, reason(err),
			OtherDockerfiles(r.Workspace, workdir, shown)))
	}
	dependencies, notes, err := taskfile.Scan(text, options.scan(line.env))
	for _, note := range notes {
		r.Log.Printf("Output from dependency scanning: %s", note)
	}
	if err != nil {
		return Failure(err.Error())
	}
	found := &report{dependencies: dependencies, commit: commit, remote: step.Build.BuildKit || step.Build.Cached}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports[position] = found
	return nil
}

// fetch gets a remote context to where the step works.
func (r *Run) fetch(ctx context.Context, step *taskfile.Step) (commit string, err error) {
	if r.Fetch == nil {
		return "", Failure("remote build contexts are not supported here: " + step.Build.Context.Text)
	}
	dir := filepath.Join(r.Scratch, step.ID)
	if commit, err = r.Fetch(ctx, step.Build.Context, dir); err != nil {
		return "", err
	}
	return commit, workspace(r.Workspace).place(dir, step.ID)
}

// buildDir is the directory in which the build client works: the step's, as the shell reads it.
func buildDir(step *taskfile.Step) string {
	dir := step.Workdir()
	if dir == "" {
		return taskfile.WorkspaceDir
	}
	if words, err := shellWords(step.Word(dir)); err == nil && len(words) == 1 {
		return words[0]
	}
	return dir
}

// build makes what an Executor builds from the arguments of docker build.
func (r *Run) build(step *taskfile.Step, line *runLine, options *buildLine) (Build, error) {
	files := workspace(r.Workspace)
	contextPath := inStep(buildDir(step), options.context)
	contextDir, err := files.directory(contextPath)
	if err != nil {
		return Build{}, Failure(fmt.Sprintf("unable to prepare context: path %q not found", options.context))
	}
	dockerfile := path.Join(contextPath, "Dockerfile")
	if options.file != "" {
		dockerfile = inStep(buildDir(step), options.file)
	}
	dockerfile, err = files.resolve(dockerfile)
	if err != nil {
		return Build{}, Failure(fmt.Sprintf("unable to prepare context: unable to evaluate symlinks in Dockerfile path: %s", reason(err)))
	}
	secrets, err := r.secrets(step, line, options)
	if err != nil {
		return Build{}, err
	}
	build := Build{
		ContextDir: contextDir, Dockerfile: dockerfile, Tags: options.tags,
		Args: pairs(options.args, line.env), Labels: pairs(options.labels, line.env), Target: options.target,
		Platform: options.platform, NoCache: options.noCache, Pull: options.pull, AddHosts: options.hosts,
		Network: options.network, Secrets: secrets, Mask: r.Log.mask, BuildKit: step.Build.BuildKit || step.Build.Cached,
		Ulimits: options.ulimits,
	}
	return build, r.buildKitOptions(&build, step, line, options)
}

// buildKitOptions sets what came with BuildKit.
func (r *Run) buildKitOptions(build *Build, step *taskfile.Step, line *runLine, options *buildLine) (err error) {
	if build.Keys, err = r.keys(step, line, options); err != nil {
		return err
	}
	build.CacheFrom, build.CacheTo = options.from, options.to
	// Docker's client takes this argument for a wish of the same kind.
	if build.Args["BUILDKIT_INLINE_CACHE"] == "1" {
		build.CacheTo = append(build.CacheTo, Cache{Kind: "inline"})
	}
	if build.Contexts, err = r.contexts(buildDir(step), options.contexts); err != nil {
		return err
	}
	if options.shmSize != "" {
		if build.ShmSize, err = units.RAMInBytes(options.shmSize); err != nil {
			return Failure(fmt.Sprintf("invalid argument %q for \"--shm-size\" flag", options.shmSize))
		}
	}
	return nil
}

// keys reads the private keys of --ssh.
func (r *Run) keys(step *taskfile.Step, line *runLine, options *buildLine) (map[string][]byte, error) {
	found := map[string][]byte{}
	for _, option := range options.keys {
		id, file, err := keySource(option)
		if err != nil {
			return nil, err
		}
		if found[id], err = r.secret(step, line, file, ""); err != nil {
			return nil, Failure(fmt.Sprintf("could not read the key %s: %s", id, reason(err)))
		}
	}
	return found, nil
}

// secrets reads the sources of --secret: a variable of the step, a file of a
// mounted volume, or one of the workspace.
func (r *Run) secrets(step *taskfile.Step, line *runLine, options *buildLine) (map[string][]byte, error) {
	if len(options.secrets) == 0 {
		return nil, nil
	}
	found := map[string][]byte{}
	for _, option := range options.secrets {
		id, file, variable, err := secretSource(option)
		if err != nil {
			return nil, err
		}
		content, err := r.secret(step, line, file, variable)
		if err != nil {
			return nil, Failure(fmt.Sprintf("could not read the secret %s: %s", id, reason(err)))
		}
		found[id] = content
	}
	return found, nil
}

func (r *Run) secret(step *taskfile.Step, line *runLine, file, variable string) ([]byte, error) {
	if variable != "" {
		return []byte(pairs([]string{variable}, line.env)[variable]), nil
	}
	file = inStep(buildDir(step), file)
	for _, mount := range step.Mounts {
		if content, ok := r.volumes[mount.Volume][path.Base(file)]; ok && path.Clean(mount.Path) == path.Dir(file) {
			return content, nil
		}
	}
	return workspace(r.Workspace).read(file)
}

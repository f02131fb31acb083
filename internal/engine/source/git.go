package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/engine"
)

// git fetches a repository.
func (f *Fetcher) git(ctx context.Context, request Request) (Result, error) {
	address, fragment, _ := strings.Cut(request.Context, "#")
	ref, dir, _ := strings.Cut(fragment, ":")
	if strings.HasPrefix(ref, "-") || strings.ContainsAny(ref, " \t\n*?[\\^~:") {
		return Result{}, engine.Failure(fmt.Sprintf("error checking out %s: not a valid name", ref))
	}
	where, err := parseLocation(address, request.Token)
	if err != nil {
		return Result{}, err
	}
	relay, err := startRelay(ctx, f, where)
	if err != nil {
		return Result{}, err
	}
	defer relay.Close()
	private, err := os.MkdirTemp(filepath.Dir(request.Dir), "git-")
	if err != nil {
		return Result{}, fmt.Errorf("making a directory for git: %w", err)
	}
	defer os.RemoveAll(private)
	clone, err := newClone(f.Git, request.Dir, private, relay)
	if err != nil {
		return Result{}, err
	}
	result, err := clone.fetch(ctx, where.url.String(), ref)
	if err != nil {
		return Result{}, clone.explain(ctx, err, ref)
	}
	result.Dir, err = folder(request.Dir, dir)
	return result, err
}

// clone is one repository being fetched.
type clone struct {
	program string
	dir     string
	env     []string
	relay   *relay
}

// newClone writes a configuration of its own for git, which replaces all others.
func newClone(program, dir, private string, relay *relay) (*clone, error) {
	if program == "" {
		program = "git"
	}
	program, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("git contexts need the git program on the agent: %w", err)
	}
	config := filepath.Join(private, "config")
	if err := os.WriteFile(config, []byte(configuration(relay)), 0o600); err != nil {
		return nil, err
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + private, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + config, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=",
	}
	return &clone{program, dir, env, relay}, nil
}

// configuration allows nothing but HTTP, and leads all of it to the relay. Hooks,
// credential helpers and background work are off.
func configuration(relay *relay) string {
	return `[core]
	hooksPath = /dev/null
	fsmonitor = false
	logAllRefUpdates = false
[credential]
	helper =
[protocol]
	allow = never
[protocol "http"]
	allow = always
[http]
	followRedirects = initial
	proxy = ` + relay.address() + `
[url "` + relay.base + `https/"]
	insteadOf = https://
[url "` + relay.base + `http/"]
	insteadOf = http://
[init]
	defaultBranch = main
[safe]
	directory = *
[gc]
	auto = 0
[maintenance]
	auto = false
[fetch]
	recurseSubmodules = false
[transfer]
	bundleURI = false
[advice]
	detachedHead = false
`
}

// gitError is a failed call of git.
type gitError struct {
	args   []string
	stderr string
}

func (e *gitError) Error() string { return "git " + strings.Join(e.args, " ") + ": " + e.stderr }

// run calls git in the repository and returns what it printed.
func (c *clone) run(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, c.program, args...)
	command.Dir, command.Env = c.dir, c.env
	endWithChildren(command)
	command.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		var exit *exec.ExitError
		if ctx.Err() != nil || !errors.As(err, &exit) {
			return "", errors.Join(context.Cause(ctx), err)
		}
		return "", &gitError{args, strings.TrimSpace(stderr.String())}
	}
	return strings.TrimSpace(stdout.String()), nil
}

// fetch gets ref, or the default branch, and checks it out with its submodules.
func (c *clone) fetch(ctx context.Context, address, ref string) (Result, error) {
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return Result{}, err
	}
	for _, args := range [][]string{{"init", "-q"}, {"remote", "add", "origin", address}} {
		if _, err := c.run(ctx, args...); err != nil {
			return Result{}, err
		}
	}
	target, branch, err := c.download(ctx, ref)
	if err != nil {
		return Result{}, err
	}
	checkout := []string{"checkout", "-q", "--detach", target}
	if branch != "HEAD" {
		checkout = []string{"checkout", "-q", "-B", branch, target}
	}
	if _, err := c.run(ctx, checkout...); err != nil {
		return Result{}, err
	}
	if err := c.submodules(ctx); err != nil {
		return Result{}, err
	}
	// The index has times and inodes of the files. Written anew from the tree it has
	// none, so that the same commit is the same context, and COPY finds its cache.
	if _, err := c.run(ctx, "read-tree", "HEAD"); err != nil {
		return Result{}, err
	}
	commit, err := c.run(ctx, "rev-parse", "HEAD")
	return Result{Commit: commit, Branch: branch}, err
}

var commitName = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// download fetches as little as the server allows: one commit, else one branch,
// else, for a commit that the server does not give alone, everything.
func (c *clone) download(ctx context.Context, ref string) (target, branch string, err error) {
	name := ref
	if name == "" {
		name = "HEAD"
	}
	_, err = c.run(ctx, "fetch", "-q", "--depth=1", "--no-tags", "origin", name)
	if isDumb(err) {
		_, err = c.run(ctx, "fetch", "-q", "--no-tags", "origin", name)
	}
	if err == nil {
		branch, err = c.branch(ctx, ref)
		return "FETCH_HEAD", branch, err
	}
	if !commitName.MatchString(ref) || ctx.Err() != nil {
		return "", "", err
	}
	if _, err := c.run(ctx, "fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"); err != nil {
		return "", "", err
	}
	target, err = c.run(ctx, "rev-parse", "--verify", "--quiet", ref+"^{commit}")
	if err != nil && ctx.Err() == nil {
		err = &gitError{[]string{"rev-parse"}, "couldn't find remote ref " + ref}
	}
	return target, "HEAD", err
}

// isDumb reports whether a server of static files could not give a single commit.
func isDumb(err error) bool {
	var failed *gitError
	return errors.As(err, &failed) && strings.Contains(failed.stderr, "shallow")
}

var fetchedBranch = regexp.MustCompile(`branch '([^']+)' of`)

// branch names what was fetched: a branch, or "HEAD" for anything else.
func (c *clone) branch(ctx context.Context, ref string) (string, error) {
	if ref == "" {
		remote, err := c.run(ctx, "ls-remote", "--symref", "origin", "HEAD")
		if name, found := strings.CutPrefix(remote, "ref: refs/heads/"); found && err == nil {
			name, _, _ = strings.Cut(name, "\t")
			return name, nil
		}
		return "HEAD", err
	}
	text, err := os.ReadFile(filepath.Join(c.dir, ".git", "FETCH_HEAD"))
	if found := fetchedBranch.FindSubmatch(text); found != nil {
		return string(found[1]), nil
	}
	return "HEAD", err
}

func (c *clone) submodules(ctx context.Context) error {
	if _, err := os.Lstat(filepath.Join(c.dir, ".gitmodules")); err != nil {
		return nil
	}
	_, err := c.run(ctx, "submodule", "update", "-q", "--init", "--recursive", "--depth=1")
	if err != nil && ctx.Err() == nil {
		_, err = c.run(ctx, "submodule", "update", "-q", "--init", "--recursive")
	}
	return err
}

// explain turns a failure of git into words for the user. What is no failure of
// git stays an error of ours.
func (c *clone) explain(ctx context.Context, err error, ref string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var failed *gitError
	if !errors.As(err, &failed) {
		return err
	}
	if strings.Contains(failed.stderr, "couldn't find remote ref") || strings.Contains(failed.stderr, "not our ref") {
		return engine.Failure(fmt.Sprintf("error checking out %s: the repository has no such branch, tag or commit", ref))
	}
	return engine.Failure("failed to fetch the repository: " + c.relay.reason(failed.stderr))
}

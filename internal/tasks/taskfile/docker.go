package taskfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DockerBuild is a build of one Dockerfile without a task file.
type DockerBuild struct {
	Dockerfile string // empty is "Dockerfile"
	Target     string
	Platform   string // empty is the agent's
	Images     []string
	Push       bool
	NoCache    bool
	Args       []Value // rendered as templates
	SecretArgs []Value // taken as they are
	Context    string  // a folder of the workspace; empty is its root
	Run        Run
	// Registries are the login servers for which the run has credentials, its own
	// among them: images that begin with one of these are not put into the run's.
	Registries []string
	ServiceEnv []string
}

// Limits of the two steps that a Docker build consists of.
const (
	dockerBuildTimeout = 28800 * time.Second
	dockerPushTimeout  = 3600 * time.Second
)

// Plan makes the plan of a Docker build: a build step and, if asked for, a push step.
func (b *DockerBuild) Plan() (*Plan, error) {
	if b.Push && len(b.Registries) == 0 {
		return nil, errors.New("when specifying push, at least one credential is required")
	}
	data, err := templateData(b.Run, nil)
	if err != nil {
		return nil, err
	}
	render := func(text string) string {
		if err != nil || !strings.Contains(text, "{{") {
			return text
		}
		text, err = execute("docker", text, data)
		return text
	}
	file, target := cmp.Or(render(b.Dockerfile), "Dockerfile"), render(b.Target)
	build := Build{Context: Context{Kind: ContextLocal, Text: cmp.Or(render(b.Context), ".")}}
	for _, image := range b.Images {
		build.Tags = append(build.Tags, b.qualify(render(image)))
	}
	for _, arg := range b.Args {
		build.Args = append(build.Args, arg.Name+"="+render(arg.Value))
	}
	for _, arg := range b.SecretArgs {
		build.Args = append(build.Args, arg.Name+"="+arg.Value)
	}
	if err != nil {
		return nil, fmt.Errorf("unable to render task: %w", err)
	}
	build.Text = b.text(&build, file, target)
	return b.plan(build), nil
}

// qualify puts the run's registry in front of an image that names no known one.
func (b *DockerBuild) qualify(image string) string {
	known := func(registry string) bool { return strings.HasPrefix(image, registry+"/") }
	if strings.HasPrefix(image, "library/") || known(b.Run.Registry) || slices.ContainsFunc(b.Registries, known) {
		return image
	}
	return b.Run.Registry + "/" + image
}

// text is the argument line. Values with blanks are quoted for the shell.
func (b *DockerBuild) text(build *Build, file, target string) string {
	var words []string
	option := func(name, value string) {
		if value != "" {
			words = append(words, name, shellQuote(value))
		}
	}
	if b.NoCache {
		words = append(words, "--no-cache")
	}
	option("-f", file)
	for _, tag := range build.Tags {
		option("-t", tag)
	}
	for _, arg := range build.Args {
		option("--build-arg", arg)
	}
	option("--target", target)
	option("--platform", b.Platform)
	return strings.Join(append(words, shellQuote(build.Context.Text)), " ")
}

func (b *DockerBuild) plan(build Build) *Plan {
	plan := &Plan{Version: defaultVersion, SharedVolume: b.Run.SharedVolume}
	plan.Steps = []Step{{
		ID: "build", Kind: KindBuild, Build: build, Parents: []string{Root},
		Timeout: dockerBuildTimeout, RetryDelay: defaultRetryDelay, Env: b.ServiceEnv,
	}}
	if b.Push && len(build.Tags) > 0 {
		plan.Steps = append(plan.Steps, Step{
			ID: "push", Kind: KindPush, Push: normalisePush(build.Tags), Parents: []string{"build"},
			Timeout: dockerPushTimeout, RetryDelay: defaultRetryDelay,
		})
	}
	return plan
}

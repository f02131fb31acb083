package dockerfile

import (
	"maps"
	"runtime"
	"slices"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// environment is what words of a Dockerfile are expanded with.
type environment map[string]string

// Get implements shell.EnvGetter.
func (e environment) Get(name string) (string, bool) { value, ok := e[name]; return value, ok }

// Keys implements shell.EnvGetter.
func (e environment) Keys() []string { return slices.Collect(maps.Keys(e)) }

// globals are the arguments that FROM knows: those of the platforms, and what is declared
// before the first stage, where the last value counts (BuildKit v0.34, dockerfile2llb,
// defaultArgs and buildMetaArgs).
func (o Options) globals(words *shell.Lex, declared []instructions.ArgCommand) (environment, error) {
	build := Machine()
	platform := build
	if o.Platform != "" {
		parsed, err := platforms.Parse(o.Platform)
		if err != nil {
			return nil, err
		}
		platform = platforms.Normalize(parsed)
	}
	stage := o.Target
	if stage == "" {
		stage = "default"
	}
	env := environment{
		"BUILDPLATFORM": platforms.Format(build), "BUILDOS": build.OS, "BUILDOSVERSION": build.OSVersion,
		"BUILDARCH": build.Architecture, "BUILDVARIANT": build.Variant,
		"TARGETPLATFORM": platforms.FormatAll(platform), "TARGETOS": platform.OS, "TARGETOSVERSION": platform.OSVersion,
		"TARGETARCH": platform.Architecture, "TARGETVARIANT": platform.Variant,
		"TARGETSTAGE": stage,
	}
	for name := range env {
		if value, ok := o.Args[name]; ok {
			env[name] = value
		}
	}
	for _, command := range declared {
		for _, arg := range command.Args {
			if value, ok := o.Args[arg.Key]; ok {
				env[arg.Key] = value
			} else if arg.Value != nil {
				if value, _, err := words.ProcessWord(*arg.Value, env); err == nil {
					env[arg.Key] = value
				}
			}
		}
	}
	return env, nil
}

// Machine is what builds, and what images are wanted for if nobody says: Linux, on this
// machine's processor, wherever this process runs.
func Machine() ocispec.Platform {
	if runtime.GOOS == "linux" {
		return platforms.Normalize(platforms.DefaultSpec())
	}
	return platforms.Normalize(ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH})
}

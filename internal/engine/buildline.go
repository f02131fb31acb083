package engine

import (
	"fmt"
	"path"
	"strings"

	"github.com/spf13/pflag"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// buildLine holds the arguments of docker build.
type buildLine struct {
	tags, args, labels, hosts, secrets, keys                  []string
	cacheFrom, cacheTo, contexts, ulimits                     []string
	shmSize                                                   string
	file, target, platform, network, isolation, progress      string
	provenance, sbom                                          string
	noCache, pull, quiet, remove, force, compress, load, push bool
	context                                                   string
	from, to                                                  []Cache
}

// buildLines reads the line of a build step: the container of the build's client, and what
// that builds.
func buildLines(plan *taskfile.Plan, step *taskfile.Step) (*runLine, *buildLine, error) {
	line, err := parseRunLine(step.CommandLine(plan.SharedVolume))
	if err != nil {
		return nil, nil, err
	}
	if line.image != ClientImage && line.image != "buildx" || len(line.args) == 0 || line.args[0] != "build" {
		return nil, nil, fmt.Errorf("the line of the build step %s begins with %q", step.ID, line.image)
	}
	build, err := parseBuildLine(line.args[1:])
	return line, build, err
}

// parseBuildLine reads the words after "docker build".
func parseBuildLine(words []string) (*buildLine, error) {
	build := new(buildLine)
	flags := build.flags()
	if err := parseFlags(flags, words); err != nil {
		return nil, err
	}
	switch {
	case flags.NArg() != 1:
		return nil, Failure(fmt.Sprintf(`"docker build" requires exactly 1 argument, not %d: %s`, flags.NArg(), strings.Join(flags.Args(), " ")))
	case build.push:
		return nil, Failure("the option --push of docker build is not supported: use a push step")
	case build.isolation != "" && build.isolation != "default":
		return nil, Failure(fmt.Sprintf("invalid isolation: %q: only default is supported", build.isolation))
	case build.provenance != "false" || build.sbom != "false":
		return nil, Failure("attestations of builds are not supported: leave --provenance and --sbom out, or say false")
	case flags.Arg(0) == "-" || build.file == "-":
		return nil, Failure("a build context or Dockerfile from standard input is not supported")
	}
	build.context = flags.Arg(0)
	return build, build.caches()
}

// dockerfile is where the Dockerfile is for a client that works in a directory, and how the
// author calls it.
func (b *buildLine) dockerfile(workdir string) (name, shown string) {
	shown = b.file
	if shown == "" {
		shown = path.Join(b.context, "Dockerfile")
	}
	return inStep(workdir, shown), shown
}

// scan is what the scan of the Dockerfile needs to know. env is the step's.
func (b *buildLine) scan(env []string) taskfile.ScanOptions {
	contexts := map[string]string{}
	for _, entry := range b.contexts {
		name, place, _ := strings.Cut(entry, "=")
		contexts[name] = place
	}
	return taskfile.ScanOptions{Tags: b.tags, Args: pairs(b.args, env), Target: b.target, Platform: b.platform, Contexts: contexts}
}

// caches reads the options that name caches.
func (b *buildLine) caches() (err error) {
	if b.from, err = caches("--cache-from", b.cacheFrom); err != nil {
		return err
	}
	b.to, err = caches("--cache-to", b.cacheTo)
	return err
}

func (b *buildLine) flags() *pflag.FlagSet {
	flags := newFlags("docker build", true)
	flags.StringArrayVarP(&b.tags, "tag", "t", nil, "")
	flags.StringArrayVar(&b.args, "build-arg", nil, "")
	flags.StringArrayVar(&b.labels, "label", nil, "")
	flags.StringArrayVar(&b.hosts, "add-host", nil, "")
	flags.StringArrayVar(&b.secrets, "secret", nil, "")
	flags.StringArrayVar(&b.keys, "ssh", nil, "")
	flags.StringArrayVar(&b.cacheFrom, "cache-from", nil, "")
	flags.StringArrayVar(&b.cacheTo, "cache-to", nil, "")
	flags.StringArrayVar(&b.contexts, "build-context", nil, "")
	flags.StringArrayVar(&b.ulimits, "ulimit", nil, "")
	flags.StringVar(&b.shmSize, "shm-size", "", "")
	flags.StringVar(&b.provenance, "provenance", "false", "")
	flags.StringVar(&b.sbom, "sbom", "false", "")
	flags.StringVarP(&b.file, "file", "f", "", "")
	flags.StringVar(&b.target, "target", "", "")
	flags.StringVar(&b.platform, "platform", "", "")
	flags.StringVar(&b.network, "network", "", "")
	flags.StringVar(&b.isolation, "isolation", "", "")
	flags.StringVar(&b.progress, "progress", "", "") // one form of output serves all
	flags.BoolVar(&b.noCache, "no-cache", false, "")
	flags.BoolVar(&b.pull, "pull", false, "")
	flags.BoolVarP(&b.quiet, "quiet", "q", false, "")
	// These ask for what is done anyway.
	flags.BoolVar(&b.remove, "rm", true, "")
	flags.BoolVar(&b.force, "force-rm", false, "")
	flags.BoolVar(&b.compress, "compress", false, "")
	flags.BoolVar(&b.load, "load", false, "")
	flags.BoolVar(&b.push, "push", false, "")
	flags.Bool("disable-content-trust", true, "")
	refuse(flags, "docker build", "allow", "annotation", "attest", "builder", "call", "cgroup-parent", "!check", "cpu-period", "cpu-quota", "cpu-shares=c", "cpuset-cpus", "cpuset-mems", "!debug=D", "!help",
		"iidfile", "memory=m", "memory-swap", "metadata-file", "no-cache-filter", "output=o",
		"security-opt", "!squash", "!stream")
	return flags
}

// pairs reads K=V entries. One without a value takes it from env, and is left out
// if there is none, as docker's client does.
func pairs(entries, env []string) map[string]string {
	values := map[string]string{}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	found := map[string]string{}
	for _, entry := range entries {
		name, value, given := strings.Cut(entry, "=")
		if !given {
			if value, given = values[name]; !given {
				continue
			}
		}
		found[name] = value
	}
	return found
}

// secretSource reads one --secret: id=…[,src=…][,env=…][,type=…].
func secretSource(option string) (id, file, variable string, err error) {
	for field := range strings.SplitSeq(option, ",") {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "id":
			id = value
		case "src", "source":
			file = value
		case "env":
			variable = value
		case "type":
		default:
			return "", "", "", Failure(fmt.Sprintf("unexpected key %q in the option --secret %s", key, option))
		}
	}
	if id == "" || file == "" && variable == "" {
		return "", "", "", Failure(fmt.Sprintf("the option --secret %s needs id= and src= or env=", option))
	}
	return id, file, variable, nil
}

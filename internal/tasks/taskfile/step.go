package taskfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Defaults of the reference engine.
const (
	defaultStepTimeout = 600 * time.Second
	defaultRetryDelay  = 5 * time.Second
	defaultVersion     = "v1.0.0"
)

var versions = []string{"1.0-preview-1", "v1.0.0", "v1.1.0"}

// defaults applies what belongs to the task as a whole, in the runner's order.
func (p *Plan) defaults(doc *document, in *Input) (err error) {
	doc.WorkingDirectory = cmp.Or(doc.WorkingDirectory, in.WorkingDirectory)
	if doc.Env, err = taskEnv(doc.Env, in.ServiceEnv); err != nil {
		return err
	}
	p.Version = defaultVersion
	if doc.Version != nil && *doc.Version != "" {
		p.Version = *doc.Version
	}
	if !slices.Contains(versions, strings.ToLower(p.Version)) {
		return fmt.Errorf("invalid version specified: %q, the current version is %q", p.Version, defaultVersion)
	}
	for _, volume := range doc.Volumes {
		p.Volumes = append(p.Volumes, Volume{Name: volume.Name, Files: volume.Secret})
	}
	return p.addNetworks(doc, in)
}

func (p *Plan) addNetworks(doc *document, in *Input) error {
	for _, network := range doc.Networks {
		if network.Name == "" {
			return errors.New("name must be specified")
		}
		p.Networks = append(p.Networks, Network{
			Name: network.Name, Driver: network.Driver, IPv6: network.IPv6,
			SkipCreation: network.SkipCreation, Default: network.IsDefault,
		})
	}
	if len(doc.Networks) == 0 {
		driver := "bridge"
		if in.Run.OS == "windows" {
			driver = "nat"
		}
		p.Networks = []Network{{Name: DefaultNetwork, Driver: driver, Default: true}}
	}
	return nil
}

// defaultNetwork is what a step without a network gets: the last one that is marked.
func (p *Plan) defaultNetwork() string {
	name := ""
	for _, network := range p.Networks {
		if network.Default {
			name = network.Name
		}
	}
	return name
}

// addSteps applies defaults to every step and then adds each to the graph, where
// it is checked. The first failing rule of the first failing step counts.
func (p *Plan) addSteps(doc *document, in *Input) error {
	for i, raw := range doc.Steps {
		if err := p.completeStep(i, raw, doc); err != nil {
			return err
		}
	}
	known := map[string]bool{}
	for i, raw := range doc.Steps {
		step, err := p.makeStep(raw, in)
		if err != nil {
			return err
		}
		if step.Parents, err = parents(i, raw, doc, known); err != nil {
			return err
		}
		known[step.ID] = true
		p.Steps = append(p.Steps, step)
	}
	return nil
}

// completeStep fills in what a step leaves open.
func (p *Plan) completeStep(position int, raw *stepDocument, doc *document) (err error) {
	stepTimeout := positive(doc.StepTimeout, defaultStepTimeout)
	raw.Timeout = int(positive(raw.Timeout, stepTimeout) / time.Second)
	raw.RetryDelay = int(positive(raw.RetryDelay, defaultRetryDelay) / time.Second)
	raw.Network = cmp.Or(raw.Network, networkName(p.defaultNetwork()))
	raw.ID = cmp.Or(raw.ID, "acb_step_"+strconv.Itoa(position))
	raw.WorkingDirectory = cmp.Or(raw.WorkingDirectory, doc.WorkingDirectory)
	if raw.Env, err = mergeEnv(raw.Env, doc.Env); err != nil {
		return fmt.Errorf("failed to merge task and step environment variables: %w", err)
	}
	return nil
}

// maxSeconds keeps a number of seconds a time.Duration.
const maxSeconds = 100 * 365 * 24 * 3600

// positive is a number of seconds, or the default if it is not positive.
func positive(seconds int, otherwise time.Duration) time.Duration {
	if seconds <= 0 {
		return otherwise
	}
	return time.Duration(min(seconds, maxSeconds)) * time.Second
}

// checkStep applies the rules that concern a step alone.
func checkStep(raw *stepDocument) error {
	kinds := 0
	for _, present := range []bool{raw.Cmd != "", raw.Build != "", len(raw.Push) > 0} {
		if present {
			kinds++
		}
	}
	switch {
	case raw.Retries < 0:
		return errors.New("step must specify retries >= 0")
	case raw.Repeat < 0:
		return errors.New("step must specify repeat >= 0")
	case kinds > 1:
		return errors.New("step must only contain a single build, cmd, or push property")
	case strings.ContainsFunc(raw.ID, unicode.IsSpace):
		return errors.New("step ID cannot contain spaces")
	case kinds == 0:
		return errors.New("step is missing a cmd, build, or push property")
	}
	if err := checkMounts(raw); err != nil {
		return err
	}
	switch {
	case slices.Contains(raw.When, "-") && len(raw.When) > 1:
		return errors.New("step cannot contain other IDs in when if the immediate execution token is specified")
	case slices.Contains(raw.When, raw.ID):
		return fmt.Errorf("Step ID: %s is self-referenced", raw.ID) //nolint:staticcheck // the runner's words
	}
	switch strings.ToLower(raw.Cache) {
	case "", "enabled", "disabled":
		return nil
	}
	return errors.New("invalid value for cache property. Valid values are 'enabled', 'disabled'")
}

func checkMounts(raw *stepDocument) error {
	if len(raw.VolumeMounts) > 0 && len(raw.Push) > 0 {
		return errors.New("invalid use of Mounts. Mounts must have unique container paths and only used for cmd or build steps")
	}
	paths := map[string]bool{}
	for _, mount := range raw.VolumeMounts {
		if mount.Name == "" || mount.MountPath == "" {
			return errors.New("mount name or mount path is empty")
		}
		if paths[mount.MountPath] {
			return errors.New("mount with duplicate container file path found")
		}
		paths[mount.MountPath] = true
	}
	return nil
}

// parents resolves a step's "when", checking its name and those it waits for.
func parents(position int, raw *stepDocument, doc *document, known map[string]bool) ([]string, error) {
	switch {
	case raw.ID == Root:
		return nil, errors.New("acb_root is a reserved ID, it can't be used")
	case known[raw.ID]:
		return nil, fmt.Errorf("%s already exists as a vertex", raw.ID)
	case len(raw.When) == 0 && position > 0:
		return []string{doc.Steps[position-1].ID}, nil
	case len(raw.When) == 0 || raw.When[0] == "-":
		return []string{Root}, nil
	}
	var found []string
	for _, name := range raw.When {
		if name == "" {
			return nil, errors.New("from cannot be empty")
		}
		if !known[name] {
			return nil, fmt.Errorf("%s does not exist as a vertex [from: %s, to: %s]", name, name, raw.ID)
		}
		if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found, nil
}

// makeStep checks a step and gives it its final form.
func (p *Plan) makeStep(raw *stepDocument, in *Input) (Step, error) {
	if err := checkStep(raw); err != nil {
		return Step{}, err
	}
	step := Step{
		ID: raw.ID, Cmd: raw.Cmd,
		Timeout: positive(raw.Timeout, 0), StartDelay: positive(raw.StartDelay, 0),
		Retries: raw.Retries, RetryDelay: positive(raw.RetryDelay, 0), RetryOnErrors: raw.RetryOnErrors,
		Repeat: raw.Repeat, IgnoreErrors: raw.IgnoreErrors,
		WorkingDirectory: raw.WorkingDirectory, DisableWorkingDirectoryOverride: raw.DisableWorkingDirectoryOverride,
		EntryPoint: raw.EntryPoint, Env: raw.Env, User: raw.User, Network: string(raw.Network),
		Isolation: raw.Isolation, CPUs: raw.CPUs, Ports: raw.Ports, Expose: raw.Expose,
		Privileged: raw.Privileged, Detach: raw.Detach, Keep: raw.Keep, Pull: raw.Pull,
		DownloadRetries: max(0, raw.CmdDownloadRetries), DownloadRetryDelay: positive(raw.CmdDownloadRetryDelay, 0),
		Cache: raw.Cache,
	}
	for _, mount := range raw.VolumeMounts {
		step.Mounts = append(step.Mounts, Mount{Volume: mount.Name, Path: mount.MountPath})
	}
	switch {
	case raw.Cmd != "":
		step.Kind = KindCmd
	case raw.Build != "":
		step.Kind = KindBuild
		step.Build = readBuild(raw.Build)
		step.Build.BuildKit = slices.Contains(raw.Env, "DOCKER_BUILDKIT=1")
		p.addCache(&step, in)
	default:
		step.Kind = KindPush
		step.Push = normalisePush(raw.Push)
	}
	return step, nil
}

// normalisePush adds ":latest" to names without tag and digest, and drops duplicates.
func normalisePush(names []string) []string {
	var images []string
	for _, name := range names {
		if name = withTag(name); !slices.Contains(images, name) {
			images = append(images, name)
		}
	}
	return images
}

// withTag adds ":latest" unless there is a colon or an at sign anywhere.
func withTag(name string) string {
	if strings.ContainsAny(name, ":@") {
		return name
	}
	return name + ":latest"
}

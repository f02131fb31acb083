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
func (p *Plan) defaults(doc *document, in *Input, found *findings) {
	doc.WorkingDirectory = cmp.Or(doc.WorkingDirectory, in.WorkingDirectory)
	if env, err := taskEnv(doc.Env, in.ServiceEnv); err != nil {
		found.add(entryAt(keyPath("env"), doc.Env, err), err)
	} else {
		doc.Env = env
	}
	p.Version = defaultVersion
	if doc.Version != nil && *doc.Version != "" {
		p.Version = *doc.Version
	}
	if !slices.Contains(versions, strings.ToLower(p.Version)) {
		found.add(keyPath("version"), fmt.Errorf("invalid version specified: %q, the current version is %q", p.Version, defaultVersion)).among(p.Version, words(versions...))
	}
	for _, volume := range doc.Volumes {
		p.Volumes = append(p.Volumes, Volume{Name: volume.Name, Files: volume.Secret})
	}
	p.addNetworks(doc, in, found)
}

func (p *Plan) addNetworks(doc *document, in *Input, found *findings) {
	for i, network := range doc.Networks {
		if network.Name == "" {
			found.add(keyPath("networks").item(i), errors.New("name must be specified"))
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
func (p *Plan) addSteps(doc *document, in *Input, found *findings) {
	for i, raw := range doc.Steps {
		p.completeStep(i, raw, doc, found)
	}
	known := map[string]bool{}
	for i, raw := range doc.Steps {
		checkStep(keyPath("steps").item(i), raw, found)
		step := p.makeStep(raw, in)
		step.Parents = parents(i, raw, doc, known, found)
		known[step.ID] = true
		p.Steps = append(p.Steps, step)
	}
}

// completeStep fills in what a step leaves open.
func (p *Plan) completeStep(position int, raw *stepDocument, doc *document, found *findings) {
	stepTimeout := positive(doc.StepTimeout, defaultStepTimeout)
	raw.Timeout = int(positive(raw.Timeout, stepTimeout) / time.Second)
	raw.RetryDelay = int(positive(raw.RetryDelay, defaultRetryDelay) / time.Second)
	raw.Network = cmp.Or(raw.Network, networkName(p.defaultNetwork()))
	raw.ID = cmp.Or(raw.ID, "acb_step_"+strconv.Itoa(position))
	raw.WorkingDirectory = cmp.Or(raw.WorkingDirectory, doc.WorkingDirectory)
	raw.own = len(raw.Env)
	env, err := mergeEnv(raw.Env, doc.Env)
	if err == nil {
		raw.Env = env
		return
	}
	at := entryAt(keyPath("env"), doc.Env, err)
	if own := entryAt(keyPath("steps").item(position).key("env"), raw.Env, err); own.last() != "env" || len(doc.Env) == 0 {
		at = own
	}
	found.add(at, fmt.Errorf("failed to merge task and step environment variables: %w", err))
}

// entryAt is the place of the entry that an error of merging is about, or of the list.
func entryAt(at keyPath, entries []string, err error) keyPath {
	for i, entry := range entries {
		if strings.Contains(err.Error(), "variable "+entry+" correctly") || !strings.Contains(entry, "=") {
			return at.item(i)
		}
	}
	return at
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

// checkStep applies the rules that concern a step alone, in the runner's order.
func checkStep(at keyPath, raw *stepDocument, found *findings) {
	kinds := 0
	for _, present := range []bool{raw.Cmd != "", raw.Build != "", len(raw.Push) > 0} {
		if present {
			kinds++
		}
	}
	rule := func(broken bool, at keyPath, text string) {
		if broken {
			found.add(at, errors.New(text))
		}
	}
	rule(raw.Retries < 0, at.key("retries"), "step must specify retries >= 0")
	rule(raw.Repeat < 0, at.key("repeat"), "step must specify repeat >= 0")
	rule(kinds > 1, at, "step must only contain a single build, cmd, or push property")
	rule(strings.ContainsFunc(raw.ID, unicode.IsSpace), at.key("id"), "step ID cannot contain spaces")
	rule(kinds == 0, at, "step is missing a cmd, build, or push property")
	checkMounts(at.key("volumeMounts"), raw, found)
	if slices.Contains(raw.When, "-") && len(raw.When) > 1 {
		found.add(at.key("when"), errors.New("step cannot contain other IDs in when if the immediate execution token is specified"))
	}
	if i := slices.Index(raw.When, raw.ID); i >= 0 {
		found.add(at.key("when").item(i), fmt.Errorf("Step ID: %s is self-referenced", raw.ID)) //nolint:staticcheck // the runner's words
	}
	if cache := strings.ToLower(raw.Cache); cache != "" && cache != "enabled" && cache != "disabled" {
		found.add(at.key("cache"), errors.New("invalid value for cache property. Valid values are 'enabled', 'disabled'")).
			among(raw.Cache, words("enabled", "disabled"))
	}
}

func checkMounts(at keyPath, raw *stepDocument, found *findings) {
	if len(raw.VolumeMounts) > 0 && len(raw.Push) > 0 {
		found.add(at, errors.New("invalid use of Mounts. Mounts must have unique container paths and only used for cmd or build steps"))
	}
	paths := map[string]bool{}
	for i, mount := range raw.VolumeMounts {
		if mount.Name == "" || mount.MountPath == "" {
			found.add(at.item(i), errors.New("mount name or mount path is empty"))
		} else if paths[mount.MountPath] {
			found.add(at.item(i).key("mountPath"), errors.New("mount with duplicate container file path found"))
		}
		paths[mount.MountPath] = true
	}
}

// parents resolves a step's "when", checking its name and those it waits for.
func parents(position int, raw *stepDocument, doc *document, known map[string]bool, found *findings) []string {
	at := keyPath("steps").item(position)
	switch {
	case raw.ID == Root:
		found.add(at.key("id"), errors.New("acb_root is a reserved ID, it can't be used"))
	case known[raw.ID]:
		found.add(at.key("id"), fmt.Errorf("%s already exists as a vertex", raw.ID))
	}
	switch {
	case len(raw.When) == 0 && position > 0:
		return []string{doc.Steps[position-1].ID}
	case len(raw.When) == 0 || raw.When[0] == "-":
		return []string{Root}
	}
	var names []string
	for i, name := range raw.When {
		switch {
		case name == "":
			found.add(at.key("when").item(i), errors.New("from cannot be empty"))
		case known[name]:
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		case name != raw.ID && name != "-":
			err := fmt.Errorf("%s does not exist as a vertex [from: %s, to: %s]", name, name, raw.ID)
			found.add(at.key("when").item(i), err).
				explain(func() string { return doc.whyNotBefore(name, raw.ID) }).
				among(name, func() []string { return doc.stepNames(raw.ID) })
		}
	}
	return names
}

// stepNames are the steps that another one could mean.
func (d *document) stepNames(but string) []string {
	var names []string
	for _, step := range d.Steps {
		if step.ID != but {
			names = append(names, step.ID)
		}
	}
	return names
}

// whyNotBefore says why a step cannot wait for a name.
func (d *document) whyNotBefore(name, step string) string {
	if !slices.ContainsFunc(d.Steps, func(s *stepDocument) bool { return s.ID == name }) {
		return fmt.Sprintf("there is no step %q", name)
	}
	if way := d.way(name, step); way != nil {
		const shown = 8
		if n := len(way); n > shown {
			way = append(way[:shown/2:shown/2], fmt.Sprintf("%d others, the last of which", n-shown/2))
		}
		return "a cycle: " + strings.Join(append(way, name), " waits for ")
	}
	return fmt.Sprintf("step %q comes later in the file; a step can only wait for earlier ones, so move it up", name)
}

// way is a chain of steps from one to another, each waiting for the next, or nil.
func (d *document) way(from, to string) []string {
	if d.waits == nil {
		d.waits = map[string][]string{}
		for i, step := range d.Steps {
			d.waits[step.ID] = step.When
			if len(step.When) == 0 && i > 0 {
				d.waits[step.ID] = []string{d.Steps[i-1].ID}
			}
		}
	}
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			var chain []string
			for at := to; at != ""; at = before[at] {
				chain = append([]string{at}, chain...)
			}
			return chain
		}
		for _, next := range d.waits[queue[0]] {
			if _, seen := before[next]; !seen {
				before[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// makeStep gives a step its final form.
func (p *Plan) makeStep(raw *stepDocument, in *Input) Step {
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
	return step
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

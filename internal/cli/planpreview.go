package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// previewer collects what the steps of a plan would do.
type previewer struct {
	plan   *taskfile.Plan
	folder string
	made   map[string]bool // images that builds have tagged so far
	read   int             // bytes of Dockerfiles
	pulls  imageList
	pushes imageList
	shown  *shownPlan
}

// Bounds of what is read for a plan.
const (
	maxDockerfile  = 1 << 20
	maxDockerfiles = 8 << 20 // of all steps together
)

// preview says what a plan would do with the folder as its source.
func preview(plan *taskfile.Plan, folder string) *shownPlan {
	p := previewer{plan: plan, folder: folder, made: map[string]bool{}}
	p.shown = &shownPlan{Version: plan.Version, Levels: plan.Levels(), Warnings: plan.Warnings, Edges: []shownEdge{}, Steps: []shownStep{},
		Networks: []shownNetwork{}, Volumes: []shownVolume{}, Registries: []shownRegistry{}}
	if p.shown.Levels == nil {
		p.shown.Levels = [][]string{}
	}
	for i := range plan.Steps {
		p.step(&plan.Steps[i])
	}
	for _, n := range plan.Networks {
		p.shown.Networks = append(p.shown.Networks, shownNetwork{Name: n.Name, Driver: n.Driver, IPv6: n.IPv6, Exists: n.SkipCreation, Default: n.Default})
	}
	for _, v := range plan.Volumes {
		p.shown.Volumes = append(p.shown.Volumes, shownVolume{Name: v.Name, Files: slices.Sorted(maps.Keys(v.Files))})
	}
	p.shown.Pulls, p.shown.Pushes = slices.Concat([]shownImage{}, p.pulls.list), slices.Concat([]shownImage{}, p.pushes.list)
	p.shown.addRegistries()
	return p.shown
}

func seconds(d time.Duration) int { return int(d / time.Second) }

func (p *previewer) step(step *taskfile.Step) {
	for _, parent := range step.Parents {
		p.shown.Edges = append(p.shown.Edges, shownEdge{parent, step.ID})
	}
	shown := shownStep{ID: step.ID, Kind: string(step.Kind), After: []string{}, Timeout: seconds(step.Timeout), StartDelay: seconds(step.StartDelay),
		Retries: step.Retries, RetryOnErrors: step.RetryOnErrors, Repeat: step.Repeat, IgnoreErrors: step.IgnoreErrors,
		Pull: step.Pull, PullRetries: step.DownloadRetries, PullDelay: seconds(step.DownloadRetryDelay), Cache: step.Cache}
	if step.Retries > 0 {
		shown.RetryDelay = seconds(step.RetryDelay)
	}
	for _, parent := range step.Parents {
		if parent != taskfile.Root {
			shown.After = append(shown.After, parent)
		}
	}
	for _, name := range step.Altered() {
		p.shown.Warnings = append(p.shown.Warnings,
			fmt.Sprintf("step %s: %s stays in one piece here; the shell of Azure's agents takes it apart", step.ID, name))
	}
	outlook, err := engine.Foresee(p.plan, step)
	if err != nil {
		shown.Fails = err.Error()
	}
	switch step.Kind {
	case taskfile.KindPush:
		shown.Images = step.Push
		for _, image := range step.Push {
			p.pushes.add(image, step.ID)
		}
	case taskfile.KindCmd:
		shown.Command = step.CommandLine(p.plan.SharedVolume)
		if shown.Fails == "" {
			p.pull(outlook.Image, step)
		}
		if outlook.Client {
			p.pull(engine.ClientImage, step)
		}
	case taskfile.KindBuild:
		shown.Command = step.CommandLine(p.plan.SharedVolume)
		shown.Images, shown.Context, shown.Dockerfile = step.Build.Tags, step.Build.Context.Text, outlook.Dockerfile
		p.bases(&shown, step, outlook.Scan)
		for _, image := range outlook.CacheFrom {
			p.pulls.add(image, step.ID)
		}
		for _, image := range outlook.CacheTo {
			p.pushes.add(image, step.ID)
		}
	}
	p.shown.Steps = append(p.shown.Steps, shown)
}

// bases notes what a build begins with, as far as its Dockerfile can be read.
func (p *previewer) bases(shown *shownStep, step *taskfile.Step, options taskfile.ScanOptions) {
	defer func() {
		for _, tag := range step.Build.Tags {
			p.made[imageName(tag)] = true
		}
	}()
	switch {
	case step.Build.Context.Remote():
		shown.Unknown = "the Dockerfile is in " + step.Build.Context.Text + ", which is not fetched"
		return
	case shown.Fails != "":
		return
	}
	text, err := p.dockerfile(shown.Dockerfile)
	if err != nil {
		shown.Unknown = "the Dockerfile is not known: " + err.Error()
		return
	}
	dependencies, notes, err := taskfile.Scan(text, options)
	if err != nil {
		shown.Fails = "failed to scan dependencies: " + err.Error()
		return
	}
	shown.Unknown = strings.Join(notes, "; ")
	// All tags of a build have the same.
	for _, base := range dependencies[0].Bases() {
		shown.Bases = append(shown.Bases, base.Reference)
		p.pull(base.Reference, step)
	}
}

// dockerfile reads a file by its name in the workspace, which is the folder.
func (p *previewer) dockerfile(name string) ([]byte, error) {
	inside, ok := strings.CutPrefix(name, taskfile.WorkspaceDir+"/")
	switch {
	case isRemote(p.folder):
		return nil, errors.New("the source is not fetched")
	case !ok:
		return nil, fmt.Errorf("%s is not in the source", name)
	case p.read > maxDockerfiles:
		return nil, errors.New("the Dockerfiles are too many")
	}
	root, err := os.OpenRoot(p.folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := root.Open(path.Clean(inside))
	if err != nil {
		var pathError *fs.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		return nil, fmt.Errorf("%s: %w%s", inside, err, engine.OtherDockerfiles(p.folder, "", path.Clean(inside)))
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxDockerfile+1))
	if len(text) > maxDockerfile {
		err = fmt.Errorf("%s is larger than %d bytes", inside, maxDockerfile)
	}
	p.read += len(text)
	return text, err
}

// pull notes an image that comes from a registry: one that no step before has made.
func (p *previewer) pull(image string, step *taskfile.Step) {
	if image != "" && !p.made[imageName(image)] {
		p.pulls.add(image, step.ID)
	}
}

// imageName is the same for all ways to write the name of an image.
func imageName(name string) string {
	ref, err := taskfile.ParseReference(name)
	if err != nil {
		return name
	}
	return serverOf(ref) + "/" + ref.Repository + ":" + ref.Tag + "@" + ref.Digest
}

// hub is how people call Docker Hub.
const hub = "docker.io"

func serverOf(ref taskfile.Reference) string {
	if ref.Registry == "registry.hub.docker.com" || ref.Registry == "index.docker.io" {
		return hub
	}
	return strings.ToLower(ref.Registry)
}

// imageList is a list of images, each once.
type imageList struct {
	list  []shownImage
	index map[string]int
}

func (l *imageList) add(name, step string) {
	key := imageName(name)
	i, known := l.index[key]
	if !known {
		if l.index == nil {
			l.index = map[string]int{}
		}
		l.index[key] = len(l.list)
		l.list = append(l.list, shownImage{name, []string{step}})
		return
	}
	if steps := l.list[i].Steps; steps[len(steps)-1] != step {
		l.list[i].Steps = append(steps, step)
	}
}

// addRegistries notes where the images come from and go to.
func (s *shownPlan) addRegistries() {
	for _, image := range s.Pulls {
		if r := s.registryOf(image.Image); r != nil {
			r.Pull = true
		}
	}
	for _, image := range s.Pushes {
		if r := s.registryOf(image.Image); r != nil {
			r.Push = true
		}
	}
}

// registryOf is the entry of the registry that an image names, or nil without one.
func (s *shownPlan) registryOf(image string) *shownRegistry {
	ref, err := taskfile.ParseReference(image)
	if err != nil {
		return nil
	}
	server := serverOf(ref)
	for i := range s.Registries {
		if s.Registries[i].Server == server {
			return &s.Registries[i]
		}
	}
	s.Registries = append(s.Registries, shownRegistry{Server: server, Rights: rightsUnknown, As: nobody})
	return &s.Registries[len(s.Registries)-1]
}

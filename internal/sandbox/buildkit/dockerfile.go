package buildkit

import (
	"errors"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	df "github.com/acrux/acrux/internal/dockerfile"
	"github.com/acrux/acrux/internal/sandbox/buildlog"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// dockerfile is what we need to know of a Dockerfile beside what the frontend does
// with it: the steps that a classic build would print, and the images it names.
type dockerfile struct {
	steps []instruction
	// bases are the images named in stages that are needed, as written, with arguments
	// replaced, in order and each once.
	bases []string
}

// instruction is one line of the classic log.
type instruction struct {
	text       string
	name       string // lower case: "run"
	start, end int    // lines
	stage      int    // -1 before the first FROM
	base       string // of a FROM: normalized name of an image; empty if it is a stage or scratch
}

// parseDockerfile reads a Dockerfile that is built for target with these arguments.
// Stages that target does not need are left out.
func parseDockerfile(data []byte, target string, args map[string]string, platform *ocispec.Platform) (*dockerfile, error) {
	options := df.Options{Args: args, Target: target}
	if platform != nil {
		options.Platform = platforms.FormatAll(*platform)
	}
	file, err := df.Parse(data, options)
	if err != nil {
		return nil, err
	}
	wanted, err := file.Target(target)
	if err != nil {
		return nil, err
	}
	needed := map[int]bool{}
	d := &dockerfile{}
	d.need(file, wanted, needed)
	for i := range needed {
		if wantsDevice(file.Stages[i]) {
			return nil, errDevices
		}
	}
	d.list(file, needed)
	return d, nil
}

// errDevices is told, because BuildKit leaves out devices that it has not, without a word.
var errDevices = errors.New("RUN --device is not supported: builds have no devices of the machine")

func wantsDevice(stage instructions.Stage) bool {
	return slices.ContainsFunc(stage.Commands, func(command instructions.Command) bool {
		run, ok := command.(*instructions.RunCommand)
		return ok && len(instructions.GetDevices(run)) > 0
	})
}

// need marks a stage and what it is made from, and collects the images on the way.
func (d *dockerfile) need(file *df.File, stage int, needed map[int]bool) {
	if needed[stage] {
		return
	}
	needed[stage] = true
	for _, source := range file.Sources(stage) {
		switch {
		case source.Stage >= 0:
			d.need(file, source.Stage, needed)
		case !slices.Contains(d.bases, source.Image):
			d.bases = append(d.bases, source.Image)
		}
	}
}

// list makes the list of instructions, without those of stages that are not needed.
func (d *dockerfile) list(file *df.File, needed map[int]bool) {
	stage := -1
	for _, node := range file.AST.Children {
		step := instruction{
			text: strings.TrimSpace(node.Original), name: strings.ToLower(node.Value),
			start: node.StartLine, end: node.EndLine,
		}
		if step.name == "from" {
			stage++
			if named, err := imagestore.Parse(file.Base(stage).Image); err == nil {
				step.base = named.String()
			}
		}
		step.stage = stage
		if stage < 0 || needed[stage] {
			d.steps = append(d.steps, step)
		}
	}
}

// at finds the step at a line.
func (d *dockerfile) at(line int) (int, bool) {
	for i, step := range d.steps {
		if line >= step.start && line <= step.end {
			return i, true
		}
	}
	return 0, false
}

func (d *dockerfile) log() []buildlog.Step {
	var steps []buildlog.Step
	for _, step := range d.steps {
		steps = append(steps, buildlog.Step{Text: step.text, Meta: step.stage < 0})
	}
	return steps
}

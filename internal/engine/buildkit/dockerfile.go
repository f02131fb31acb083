package buildkit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/engine/buildlog"
	"github.com/acrux/acrux/internal/engine/imagestore"
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
	parsed, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, atLine(err)
	}
	stages, metaArgs, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, atLine(err)
	}
	if len(stages) == 0 {
		return nil, errors.New("file with no instructions")
	}
	wanted, err := findTarget(stages, target)
	if err != nil {
		return nil, err
	}
	words := shell.NewLex(parsed.EscapeToken)
	env := globals(words, metaArgs, args, platform)
	for i := range stages {
		if name, _, err := words.ProcessWord(stages[i].BaseName, env); err == nil {
			stages[i].BaseName = name
		}
	}
	needed := map[int]bool{}
	d := &dockerfile{}
	d.need(stages, wanted, needed)
	for i := range needed {
		if wantsDevice(stages[i]) {
			return nil, errDevices
		}
	}
	d.list(parsed.AST, stages, needed)
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

// atLine makes the message of a parse error name the line, as docker's does.
func atLine(err error) error {
	if strings.Contains(err.Error(), "parse error on line") {
		return err
	}
	var located *parser.LocationError
	if errors.As(err, &located) && len(located.Locations) > 0 && len(located.Locations[0]) > 0 {
		return fmt.Errorf("dockerfile parse error on line %d: %w", located.Locations[0][0].Start.Line, err)
	}
	return fmt.Errorf("dockerfile parse error: %w", err)
}

func findTarget(stages []instructions.Stage, target string) (int, error) {
	if target == "" {
		return len(stages) - 1, nil
	}
	if i, ok := stageNamed(stages, target); ok {
		return i, nil
	}
	return 0, fmt.Errorf("failed to reach build target %s in Dockerfile", target)
}

// stageNamed finds a stage by name, the last one if several have it, or by number.
func stageNamed(stages []instructions.Stage, name string) (int, bool) {
	for i, stage := range slices.Backward(stages) {
		if stage.Name != "" && strings.EqualFold(stage.Name, name) {
			return i, true
		}
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(stages) {
		return i, true
	}
	return 0, false
}

// need marks a stage and what it is made from, and collects the images on the way.
func (d *dockerfile) need(stages []instructions.Stage, i int, needed map[int]bool) {
	if needed[i] {
		return
	}
	needed[i] = true
	follow := func(name string) {
		if name == "" || strings.EqualFold(name, "scratch") || name == "context" {
			return
		}
		if j, ok := stageNamed(stages[:i], name); ok {
			d.need(stages, j, needed)
		} else if !slices.Contains(d.bases, name) {
			d.bases = append(d.bases, name)
		}
	}
	follow(stages[i].BaseName)
	for _, command := range stages[i].Commands {
		switch c := command.(type) {
		case *instructions.CopyCommand:
			follow(c.From)
		case *instructions.RunCommand:
			for _, mount := range instructions.GetMounts(c) {
				follow(mount.From)
			}
		}
	}
}

// list makes the list of instructions, without those of stages that are not needed.
func (d *dockerfile) list(ast *parser.Node, stages []instructions.Stage, needed map[int]bool) {
	stage := -1
	for _, node := range ast.Children {
		step := instruction{
			text: strings.TrimSpace(node.Original), name: strings.ToLower(node.Value),
			start: node.StartLine, end: node.EndLine,
		}
		if step.name == "from" {
			stage++
			name := stages[stage].BaseName
			if _, ok := stageNamed(stages[:stage], name); !ok && !strings.EqualFold(name, "scratch") {
				if named, err := imagestore.Parse(name); err == nil {
					step.base = named.String()
				}
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

// environment is what words of a Dockerfile are expanded with.
type environment map[string]string

// Get implements shell.EnvGetter.
func (e environment) Get(name string) (string, bool) { value, ok := e[name]; return value, ok }

// Keys implements shell.EnvGetter.
func (e environment) Keys() []string {
	var keys []string
	for key := range e {
		keys = append(keys, key)
	}
	return keys
}

// globals are the arguments before the first FROM, with the values of this build.
func globals(words *shell.Lex, declared []instructions.ArgCommand, args map[string]string, platform *ocispec.Platform) environment {
	build := imagestore.Platform()
	target := build
	if platform != nil {
		target = *platform
	}
	env := environment{
		"BUILDPLATFORM": platforms.Format(build), "BUILDOS": build.OS, "BUILDARCH": build.Architecture, "BUILDVARIANT": build.Variant,
		"TARGETPLATFORM": platforms.Format(target), "TARGETOS": target.OS, "TARGETARCH": target.Architecture, "TARGETVARIANT": target.Variant,
	}
	for _, command := range declared {
		for _, arg := range command.Args {
			if value, ok := args[arg.Key]; ok {
				env[arg.Key] = value
			} else if arg.Value != nil {
				if value, _, err := words.ProcessWord(*arg.Value, env); err == nil {
					env[arg.Key] = value
				}
			}
		}
	}
	return env
}

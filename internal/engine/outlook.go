package engine

import (
	"errors"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// Outlook is what is known of a step before it runs.
type Outlook struct {
	Image      string // of a cmd step; empty if only a shell can tell
	Client     bool   // the step needs docker's client, too
	Dockerfile string // of a build step whose context is local: its path as steps see it
	// CacheFrom and CacheTo are the images of caches that a build step reads and writes.
	CacheFrom, CacheTo []string
	Scan               taskfile.ScanOptions // of a build step's Dockerfile
}

// Foresee reads a step as a run will. An error says how the step will fail.
func Foresee(plan *taskfile.Plan, step *taskfile.Step) (Outlook, error) {
	if step.Kind == taskfile.KindPush {
		return Outlook{}, nil
	}
	if step.Kind == taskfile.KindCmd {
		return foreseeCmd(plan, step)
	}
	line, options, err := buildLines(plan, step)
	if err != nil {
		return Outlook{}, err
	}
	outlook := Outlook{CacheFrom: cacheImages(options.from), CacheTo: cacheImages(options.to), Scan: options.scan(line.env)}
	if !step.Build.Context.Remote() {
		outlook.Dockerfile, _ = options.dockerfile(buildDir(step))
	}
	return outlook, nil
}

func foreseeCmd(plan *taskfile.Plan, step *taskfile.Step) (Outlook, error) {
	text := step.CommandLine(plan.SharedVolume)
	line, err := parseRunLine(text)
	if errors.As(err, new(*operatorError)) {
		return foreseeShell(text), nil
	}
	if err != nil {
		return Outlook{}, err
	}
	unread := func(string) ([]byte, error) { return nil, nil } // files come with the run
	_, err = line.command(plan, unread)
	return Outlook{Image: line.image}, err
}

// foreseeShell reads a line that goes to a shell, as far as that is possible.
func foreseeShell(text string) Outlook {
	outlook := Outlook{Client: true}
	if line, err := parseRunLine(firstCommand(text)); err == nil {
		outlook.Image = line.image
	}
	return outlook
}

func cacheImages(caches []Cache) []string {
	var images []string
	for _, cache := range caches {
		if ref := cache.Options["ref"]; ref != "" {
			images = append(images, ref)
		}
	}
	return images
}

package engine

import "github.com/acrux/acrux/internal/tasks/taskfile"

// Outlook is what is known of a step before it runs.
type Outlook struct {
	Image      string // of a cmd step
	Dockerfile string // of a build step whose context is local: its path as steps see it
	// CacheFrom and CacheTo are the images of caches that a build step reads and writes.
	CacheFrom, CacheTo []string
}

// Foresee reads a step as a run will. An error says how the step will fail.
func Foresee(plan *taskfile.Plan, step *taskfile.Step) (Outlook, error) {
	if step.Kind == taskfile.KindPush {
		return Outlook{}, nil
	}
	line, err := parseRunLine(step.CommandLine(plan.SharedVolume))
	if err != nil {
		return Outlook{}, err
	}
	if step.Kind == taskfile.KindCmd {
		unread := func(string) ([]byte, error) { return nil, nil } // files come with the run
		_, err := line.command(plan, unread)
		return Outlook{Image: line.image}, err
	}
	options, err := parseBuildLine(line.args[1:])
	if err != nil {
		return Outlook{}, err
	}
	outlook := Outlook{CacheFrom: cacheImages(options.from), CacheTo: cacheImages(options.to)}
	if !step.Build.Context.Remote() {
		outlook.Dockerfile, _ = dockerfilePath(step)
	}
	return outlook, nil
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

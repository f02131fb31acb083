package engine

import (
	"fmt"
	"strings"

	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// summary writes the lines that follow a run that went well, in file order, and
// returns what the images of its builds were made from.
func (r *Run) summary() []lease.Dependency {
	var dependencies []lease.Dependency
	for i, step := range r.Plan.Steps {
		r.Log.Printf("Step ID: %s marked as successful (elapsed time in seconds: %.6f)", step.ID, r.elapsed[step.ID].Seconds())
		if step.Kind != taskfile.KindBuild {
			continue
		}
		r.Log.Printf("Populating digests for step ID: %s...", step.ID)
		if report := r.reports[i]; report != nil {
			if report.remote {
				r.Log.Printf("Image was built using buildkit, fetching Digest from remote...")
			}
			dependencies = append(dependencies, r.withDigests(report)...)
		}
		r.Log.Printf("Successfully populated digests for step ID: %s", step.ID)
	}
	if len(dependencies) > 0 {
		r.Log.Printf("The following dependencies were found:")
		r.Log.Printf("")
		r.Log.Plain(reportText(dependencies))
	}
	return dependencies
}

// imageKey identifies an image however its name was written.
func imageKey(name string) string {
	ref, err := taskfile.ParseReference(name)
	if err != nil {
		return name
	}
	if ref.Registry == "docker.io" || ref.Registry == "index.docker.io" {
		ref.Registry = "registry.hub.docker.com"
	}
	return ref.Registry + "/" + ref.Repository + ":" + ref.Tag + "@" + ref.Digest
}

// withDigests fills in the digests that became known: of what was pushed, and of
// the base images as the registry resolved them. Others stay empty.
func (r *Run) withDigests(report *report) []lease.Dependency {
	bases := map[string]string{}
	for _, base := range report.bases {
		bases[imageKey(base.Reference)] = base.Digest
	}
	var found []lease.Dependency
	for _, dependency := range report.dependencies {
		entry := lease.Dependency{Commit: report.commit}
		if dependency.Runtime != nil {
			image := resolved(*dependency.Runtime, bases)
			entry.Runtime = &image
		}
		if dependency.Image != nil {
			image := resolved(*dependency.Image, r.pushed)
			entry.Image = &image
		}
		for _, base := range dependency.BuildTime {
			entry.BuildTime = append(entry.BuildTime, resolved(base, bases))
		}
		found = append(found, entry)
	}
	return found
}

func resolved(ref taskfile.Reference, digests map[string]string) lease.Image {
	image := lease.Image{Registry: ref.Registry, Repository: ref.Repository, Tag: ref.Tag, Digest: ref.Digest}
	if image.Digest == "" {
		image.Digest = digests[imageKey(ref.Reference)]
	}
	return image
}

// reportText is the report as the log shows it: YAML with plain values.
func reportText(dependencies []lease.Dependency) string {
	var lines []string
	for _, dependency := range dependencies {
		var entry []string
		if dependency.Image != nil {
			entry = append(entry, "  image:")
			entry = append(entry, imageLines(*dependency.Image, "    ")...)
		}
		if dependency.Runtime != nil {
			entry = append(entry, "  runtime-dependency:")
			entry = append(entry, imageLines(*dependency.Runtime, "    ")...)
		}
		if len(dependency.BuildTime) > 0 {
			entry = append(entry, "  buildtime-dependency:")
		}
		for _, base := range dependency.BuildTime {
			item := imageLines(base, "    ")
			item[0] = "  - " + strings.TrimLeft(item[0], " ")
			entry = append(entry, item...)
		}
		if dependency.Commit == "" {
			entry = append(entry, "  git: {}")
		} else {
			entry = append(entry, "  git:", "    git-head-revision: "+dependency.Commit)
		}
		entry[0] = "- " + strings.TrimLeft(entry[0], " ")
		lines = append(lines, entry...)
	}
	return strings.Join(lines, "\n")
}

func imageLines(image lease.Image, indent string) []string {
	var lines []string
	for _, field := range []struct{ name, value string }{
		{"registry", image.Registry}, {"repository", image.Repository}, {"tag", image.Tag}, {"digest", image.Digest},
	} {
		if field.value != "" {
			lines = append(lines, fmt.Sprintf("%s%s: %s", indent, field.name, field.value))
		}
	}
	return lines
}

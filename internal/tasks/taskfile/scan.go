package taskfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/dockerfile"
)

// Dependency is what one image of a build is made from. Its JSON is what Azure's
// scanner prints.
type Dependency struct {
	Image     *Reference  `json:"image"`              // nil for a build without tag
	Runtime   *Reference  `json:"runtime-dependency"` // nil for one made from nothing, or from what is not known
	BuildTime []Reference `json:"buildtime-dependency"`
	Git       struct {
		HeadRevision string `json:"git-head-revision"`
	} `json:"git"`
}

// Bases are the images that a dependency has, the run-time one first.
func (d Dependency) Bases() []Reference {
	var all []Reference
	if d.Runtime != nil {
		all = append(all, *d.Runtime)
	}
	return append(all, d.BuildTime...)
}

// ScanOptions are the arguments of a build that say which images it is made from.
type ScanOptions struct {
	Tags     []string
	Args     map[string]string // build arguments, with their values
	Target   string            // name of a stage; "" is the last
	Platform string            // of the image, as docker writes it; "" is that of the machine, on Linux
	// Contexts are what names in the Dockerfile mean, as docker's --build-context has it.
	Contexts map[string]string
}

// Scan reads what a build is made from out of a Dockerfile, as the builder reads it: the image
// that the target's stage goes back to is the run-time dependency; what other stages up to
// there begin with, and what is copied or mounted from images, are build-time ones, in order
// of appearance. There is one entry for each tag.
//
// What is wrong with a Dockerfile is for the builder to say. Scan leaves out what it cannot
// know and tells so in notes. It fails for a tag that is none.
func Scan(text []byte, o ScanOptions) (found []Dependency, notes []string, err error) {
	s := scan{ScanOptions: o}
	runtime, buildTime := s.read(text)
	entry := Dependency{Runtime: runtime, BuildTime: buildTime}
	if len(o.Tags) == 0 {
		return []Dependency{entry}, s.notes, nil
	}
	for _, tag := range o.Tags {
		image, err := ParseReference(tag)
		if err != nil {
			return nil, s.notes, err
		}
		entry.Image = &image
		found = append(found, entry)
	}
	return found, s.notes, nil
}

// scan is one scan of a Dockerfile.
type scan struct {
	ScanOptions
	notes []string
}

// maxNotes bounds what is said of one Dockerfile.
const maxNotes = 10

func (s *scan) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); len(s.notes) < maxNotes && !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

// read finds the images of a build.
func (s *scan) read(text []byte) (runtime *Reference, buildTime []Reference) {
	file, err := dockerfile.Parse(text, dockerfile.Options{Args: s.Args, Target: s.Target, Platform: s.Platform})
	if err != nil {
		s.note("dependencies are not known: %v", err)
		return nil, nil
	}
	target, err := file.Target(s.Target)
	if err != nil {
		s.note("dependencies are those of the last stage: %v", err)
		target = len(file.Stages) - 1
	}
	origin := file.Base(target)
	for origin.Stage >= 0 {
		origin = file.Base(origin.Stage)
	}
	runtime = s.reference(origin.Image)
	return runtime, s.buildTime(file, target, runtime)
}

// buildTime lists the images of the stages up to the target that are not the run-time one.
// Different ways to write the same name count once.
func (s *scan) buildTime(file *dockerfile.File, target int, runtime *Reference) []Reference {
	var found []Reference
	seen := map[Reference]bool{}
	if runtime != nil {
		seen[runtime.plain()] = true
	}
	for stage := range target + 1 {
		if file.Stages[stage].BaseName == "" {
			s.note("what stage %d begins with is not known: its name is empty", stage)
		}
		for _, source := range file.Sources(stage) {
			ref := s.reference(strings.TrimPrefix(source.Image, "library/"))
			if ref != nil && !seen[ref.plain()] {
				seen[ref.plain()] = true
				found = append(found, *ref)
			}
		}
	}
	return found
}

// reference reads the name of an image. It is nil where there is none.
func (s *scan) reference(name string) *Reference {
	if place, replaced := s.Contexts[name]; replaced {
		image, isImage := strings.CutPrefix(place, "docker-image://")
		if !isImage {
			return nil
		}
		name = image
	}
	if name == "" {
		return nil
	}
	ref, err := ParseReference(name)
	if err != nil {
		s.note("the dependency %s is left out: it is not the name of an image", name)
		return nil
	}
	return &ref
}

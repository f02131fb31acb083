package task

import (
	"regexp"
	"slices"
	"strings"
)

// Platform says what a run is for: the machine that executes the steps of a task file, or the
// image that a Dockerfile's build makes, wherever it is built.
type Platform struct {
	OS           string  `json:"os"`
	Architecture string  `json:"architecture,omitempty"`
	Variant      *string `json:"variant,omitempty"`
}

// architectures are the words for processors: Azure's, and those that images have beside.
var architectures = strings.Fields("amd64 x86 386 arm64 arm loong64 mips64 mips64le ppc64 ppc64le riscv64 s390x")

var variantPattern = regexp.MustCompile(`^v[0-9]{1,2}$`)

// NormalisePlatform fills in a platform and refuses what is none, and what neither agents nor
// builds of ours can be for.
func NormalisePlatform(p *Platform) error {
	p.OS, p.Architecture = strings.ToLower(p.OS), strings.ToLower(p.Architecture)
	if p.OS == "" {
		p.OS = "linux"
	}
	if p.Architecture == "" {
		p.Architecture = "amd64"
	}
	if p.Variant != nil && *p.Variant == "" {
		p.Variant = nil
	}
	switch {
	case p.OS == "windows":
		return unsupported("platform.os", "The platform 'windows'")
	case p.OS != "linux":
		return invalid("platform.os", "The platform's operating system '%s' is not linux: platforms are "+
			"OS/ARCHITECTURE[/VARIANT], such as linux/arm64.", p.OS)
	case !slices.Contains(architectures, p.Architecture):
		return invalid("platform.architecture", "The platform's architecture '%s' is not one of %s.",
			p.Architecture, strings.Join(architectures, ", "))
	case p.Variant == nil:
		return nil
	}
	variant := strings.ToLower(*p.Variant)
	p.Variant = &variant
	if !variantPattern.MatchString(variant) {
		return invalid("platform.variant", "The platform's variant '%s' is not one such as v7.", variant)
	}
	return nil
}

// Image is the platform as builds have it: OS/ARCHITECTURE[/VARIANT].
func (p *Platform) Image() string {
	text := p.OS + "/" + p.Architecture
	if p.Architecture == "x86" { // Azure's word
		text = p.OS + "/386"
	}
	if p.Variant != nil {
		text += "/" + *p.Variant
	}
	return text
}

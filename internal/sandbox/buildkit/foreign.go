package buildkit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	df "github.com/acrux/acrux/internal/dockerfile"
)

// An image may be built for another processor than this machine's. What is copied into it is the
// same for all; a RUN needs an emulator, which the kernel calls by itself where one is registered.
// Whether there is one, only the attempt tells for sure: processors run related ones, emulators
// come and go, and the result of a RUN may be in the cache.

// formatError is what the kernel says of a program for another processor (execve(2), ENOEXEC).
const formatError = "exec format error"

// foreign is the name of a platform unless this machine is of it.
func foreign(platform *pb.Platform) string {
	if platform == nil {
		return ""
	}
	wanted := platforms.Normalize(ocispec.Platform{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
	})
	if wanted.Architecture == df.Machine().Architecture {
		return ""
	}
	return platforms.Format(wanted)
}

// notEmulated says that a RUN failed because nothing here executes programs of its platform;
// empty if that was not it.
func (d *display) notEmulated(err error, found *findings) string {
	var vertex *errdefs.VertexError
	if !errors.As(err, &vertex) || !d.unlike[vertex.Digest] {
		return ""
	}
	machine := platforms.Format(df.Machine())
	platform := found.foreign[vertex.Digest]
	if platform == "" {
		return fmt.Sprintf(" is for %s, as this machine is, but a program that it starts is not: look at the base image "+
			"and at what is copied into it", machine)
	}
	return fmt.Sprintf(" is for %s: this machine is %s and has no emulation of it\n"+
		"hint: register an emulator on the machine of the agent, as with: apt-get install qemu-user-static binfmt-support\n"+
		"hint: or do without: compile in a stage FROM --platform=$BUILDPLATFORM, and COPY what comes of it",
		platform, machine)
}

// place names the RUN that failed, with its line.
func (d *display) place(step int, located bool, command string) string {
	if !located || d.file.steps[step].name != "run" {
		return "RUN " + command
	}
	instruction := d.file.steps[step]
	text, _, more := strings.Cut(instruction.text, "\n")
	if more {
		text += " …"
	}
	return fmt.Sprintf("line %d of the Dockerfile, %s,", instruction.start, text)
}

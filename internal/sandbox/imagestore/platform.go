package imagestore

import (
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/dockerfile"
)

func matcher(platform *ocispec.Platform) platforms.MatchComparer {
	if platform != nil {
		return platforms.Only(*platform)
	}
	return platforms.Only(dockerfile.Machine())
}

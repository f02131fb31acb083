package imagestore

import (
	"runtime"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platform is what images are wanted for if nobody says: Linux, on this machine's
// processor, wherever this process runs.
func Platform() ocispec.Platform {
	if runtime.GOOS == "linux" {
		return platforms.Normalize(platforms.DefaultSpec())
	}
	return platforms.Normalize(ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH})
}

func matcher(platform *ocispec.Platform) platforms.MatchComparer {
	if platform != nil {
		return platforms.Only(*platform)
	}
	return platforms.Only(Platform())
}

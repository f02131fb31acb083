//go:build linux && cgo

package container

import (
	"os"

	"github.com/opencontainers/runc/libcontainer"

	// These two work by being linked in: the first enters namespaces before the Go
	// runtime starts, the second gives the control group manager its device rules.
	_ "github.com/opencontainers/cgroups/devices"
	_ "github.com/opencontainers/runc/libcontainer/nsenter"
)

// The second half of starting a container: see the package comment.
func init() {
	beReaper()
	if len(os.Args) > 1 && os.Args[1] == "init" && os.Getenv("_LIBCONTAINER_INITTYPE") != "" {
		libcontainer.Init()
	}
}

//go:build linux && cgo

package container

import (
	"github.com/opencontainers/runc/libcontainer/configs"

	"github.com/acrux/acrux/internal/sandbox/userns"
)

// join puts a container into the user namespace. A spec could say the same, but for a
// namespace that exists the library would start two processes to read what its IDs are
// (runc 1.5, specconv), and this one knows. Device files need no other owner: they are the
// machine's, bound into the container.
func (u User) join(config *configs.Config) {
	if u.IDs.None() {
		return
	}
	ids := []configs.IDMap{{HostID: int64(u.IDs.First), Size: userns.Size}}
	config.Namespaces.Add(configs.NEWUSER, u.Namespace)
	config.UIDMappings, config.GIDMappings = ids, ids
}

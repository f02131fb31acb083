//go:build linux && cgo && seccomp

package container

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/moby/profiles/seccomp"
)

// Seccomp is whether this binary can filter system calls.
const Seccomp = true

// withSeccomp sets docker's default system call filter. It looks at the
// capabilities in the spec, so it must come after whatever changes them.
func withSeccomp(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	profile, err := seccomp.GetDefaultProfile(s)
	if err != nil {
		return fmt.Errorf("making the seccomp profile: %w", err)
	}
	s.Linux.Seccomp = profile
	return nil
}

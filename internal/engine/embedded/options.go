package embedded

import (
	"log/slog"
	"net/netip"

	"github.com/acrux/acrux/internal/egress"
)

// Bounds are container.Bounds, on every system.
type Bounds struct {
	CPUs      float64
	Memory    int64 // bytes, with swap
	Processes int64 // and threads
}

// Options say how an Executor works.
type Options struct {
	// Root is the executor's directory; it is made if need be. No other process may
	// use it at the same time.
	Root string
	// OwnTemporary gives the whole process another directory for temporary files (TMPDIR)
	// while the executor is open, in the place of the usual one and with a name that follows
	// from Root, so that what a killed process left there is found. It is for programs that
	// have one executor.
	OwnTemporary bool
	// Dialer is the way to registries, and to what Dockerfiles fetch. Nil refuses
	// what a zero egress.Dialer refuses.
	Dialer *egress.Dialer
	// Log takes what goes wrong where nobody waits for an answer. Nil discards it.
	Log *slog.Logger
	// Egress lets steps and RUN instructions reach the machine's networks, translated
	// to the machine's address. Without it they reach their run only.
	Egress bool
	// PublishAt is the address of this machine where ports that steps publish are to be
	// reached from outside of the run. The zero value is nowhere: then they are published
	// on what is the host to the run, as if it had a machine of its own.
	PublishAt netip.Addr
	// DockerClient is a docker client on this machine, which steps get as the image docker
	// without asking a registry. Empty is the one in PATH, if there is one; NoClient is
	// none.
	DockerClient string
	// OwnPorts are the ports on which steps find the installation's own hosts, those
	// that Dialer.Own knows, by their names. Nil is 443.
	OwnPorts []uint16
	// Trust gives authorities, as certificates in PEM, that programs in containers and RUN
	// instructions trust beside those of their image. Nil is none.
	Trust func() []byte
	// MachineUsers gives containers the machine's user IDs instead of others for each run:
	// root of a container is root of the machine, then.
	MachineUsers bool
	// RunBounds are what all containers of a run may have together. Where they are zero,
	// container.DefaultBounds are.
	RunBounds Bounds
	// DiskReserve is how many bytes of the disk are for others: when half of them are gone,
	// the run that takes most is ended. Zero is none.
	DiskReserve int64
	// CacheBytes is how much the build cache may take; 0 is 10 GiB.
	CacheBytes int64
}

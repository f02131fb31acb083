package docker

import (
	"log/slog"
	"net/netip"

	"github.com/moby/moby/client"

	"github.com/acrux/acrux/internal/egress"
)

// DefaultHost is where a Docker Engine listens on most machines: unix:///var/run/docker.sock,
// and on Windows a pipe.
const DefaultHost = client.DefaultDockerHost

// Options say how an Executor works.
type Options struct {
	// Root is a directory for blobs, made if need be. No other process may use it at
	// the same time.
	Root string
	// Host is the engine's address: unix://PATH or npipe://PATH. Empty is DefaultHost.
	Host string
	// Dialer is the way to registries. Nil refuses what a zero egress.Dialer refuses.
	Dialer *egress.Dialer
	// Log takes what goes wrong where nobody waits for an answer. Nil discards it.
	Log *slog.Logger
	// Egress lets steps and RUN instructions reach the networks of the engine's
	// machine. Without it steps reach their run only, and RUN instructions nothing.
	Egress bool
	// PublishAt is the address of the engine's machine where ports of containers are
	// published, whatever address they ask for. Invalid refuses them: all runs would have
	// the same.
	PublishAt netip.Addr
}

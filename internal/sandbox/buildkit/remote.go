package buildkit

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"

	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// Remote is a BuildKit in another process, inside of a container engine that has images
// of its own. The Dockerfile frontend runs here, as for a Builder, and so do all
// requests to registries: the engine is handed the images that a build needs, and hands
// over what was built. It is safe for concurrent use.
type Remote struct{ client *client.Client }

// Dialers open connections to a BuildKit: to its service, and for what it asks of
// those who build.
type Dialers struct {
	Service func(ctx context.Context) (net.Conn, error)
	Session func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error)
}

// Place is where the images of a run are in the engine. It is called concurrently.
type Place interface {
	// Exporter is the type of BuildKit's exporter that leaves images in the engine.
	Exporter() string
	// NewName is a name in the engine that nothing has yet: domain, repository and tag.
	NewName() string
	// Offer has the engine hold an image that the run has, or has resolved under name
	// at a registry. It returns the image's name there.
	Offer(ctx context.Context, name reference.Named, image imagestore.Image) (string, error)
	// Take takes the image that was built under name into the run's store, under tags.
	// The name goes.
	Take(ctx context.Context, name string, tags []reference.Named) (imagestore.Image, error)
}

// OpenRemote connects to a BuildKit when it is first used. The caller closes it.
func OpenRemote(ctx context.Context, dial Dialers) (*Remote, error) {
	service := func(ctx context.Context, _ string) (net.Conn, error) { return dial.Service(ctx) }
	// The scheme keeps gRPC from looking the name up.
	c, err := client.New(ctx, "passthrough:///engine", client.WithContextDialer(service), client.WithSessionDialer(dial.Session))
	if err != nil {
		return nil, fmt.Errorf("connecting to the builder: %w", err)
	}
	return &Remote{client: c}, nil
}

// Close ends the connection. Builds must have ended.
func (r *Remote) Close() error { return r.client.Close() }

// Build is Builder.Build, with the run's images in a place of the engine.
func (r *Remote) Build(ctx context.Context, request Request, place Place, out io.Writer) (Result, error) {
	return service{client: r.client, place: place}.build(ctx, request, out)
}

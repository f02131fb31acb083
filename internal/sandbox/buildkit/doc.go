// Package buildkit builds images with BuildKit, composed inside this process on the
// blobs and layers of an imagestore.Store. It is the only package that imports
// BuildKit.
//
// The Dockerfile frontend runs on our side of BuildKit's client, behind a wrapper.
// That is where a build is kept to itself:
//
//   - every base image is resolved by the run, with its own credentials, and the
//     registry is always asked. BuildKit sees digests only. Left to itself it merges
//     resolutions of the same name by different builds into one, whosever credentials
//     they use, and takes a digest whose blobs it has without asking anyone;
//   - images that the run has built itself are found first, under names that no other
//     run has;
//   - a syntax directive that names docker's own frontend stays here instead of fetching
//     an image to run; others are refused;
//   - what a RUN makes of a secret is never taken from the cache, nor from a build that
//     goes on at the same time: BuildKit does not look at the secret, so it would hand
//     the result to a build that has another or none;
//   - what goes out to a place named in a Dockerfile goes through the guarded dialer.
//
// A Remote builds with a BuildKit inside of a container engine instead, behind the same
// wrapper. That one resolves nothing at all: it is handed the images that a build may use,
// under names that only the engine knows, and gets neither credentials nor URLs.
//
// The executor that runs RUN instructions works on the container package, like
// everything else that runs here.
package buildkit

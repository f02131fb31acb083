//go:build race

package enginetest

// RaceDetector is whether the race detector watches. It also watches BuildKit, which
// writes one and the same value from several goroutines when a Dockerfile names several
// images, and reads whether a request was canceled without a lock when one of several
// vertices fails. What provokes that is left out then.
const RaceDetector = true

//go:build !race

package enginetest

// raceDetector is whether the race detector watches.
const raceDetector = false

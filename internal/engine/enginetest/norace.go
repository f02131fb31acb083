//go:build !race

package enginetest

// RaceDetector is whether the race detector watches.
const RaceDetector = false

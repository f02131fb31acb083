//go:build race

package collect_test

const raceDetector = true

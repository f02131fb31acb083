package enginetest

import (
	"slices"
	"testing"
	"time"
)

// ReportOver reports the medians of two ways to do the same, measured in turns, and by how
// much ours is above the other.
func ReportOver(b *testing.B, ours, other []time.Duration) {
	b.Helper()
	if len(ours) == 0 || len(other) == 0 {
		b.Fatal("nothing was measured")
	}
	median := func(all []time.Duration) float64 {
		sorted := slices.Sorted(slices.Values(all))
		return float64(sorted[len(sorted)/2].Microseconds()) / 1000
	}
	b.ReportMetric(0, "ns/op") // both together say nothing
	b.ReportMetric(median(ours), "ms/ours")
	b.ReportMetric(median(other), "ms/plain")
	b.ReportMetric(median(ours)-median(other), "ms/over")
}

package enginetest

import (
	"os"
	"testing"
)

// NeedsRoot skips tests of people who are not root. In CI these fail.
func NeedsRoot(t testing.TB) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("the embedded engine and network namespaces need root")
	default:
		t.Skip("the embedded engine and network namespaces need root")
	}
}

// WholeServers skips short tests, and those of people who are not root.
func WholeServers(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("whole servers take longer than a short test may")
	}
	NeedsRoot(t)
}

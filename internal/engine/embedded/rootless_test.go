//go:build linux && cgo

package embedded

import (
	"os"
	"testing"

	"github.com/acrux/acrux/internal/engine/enginetest"
)

func TestMain(m *testing.M) { os.Exit(enginetest.MainAsUser(m)) }

// TestRootless runs the suite as an ordinary user.
func TestRootless(t *testing.T) {
	if enginetest.IsUser() {
		t.Skip("this is it")
	}
	if testing.Short() {
		t.Skip("it runs the suite once more")
	}
	needRoot(t)
	enginetest.AsUser(t, "^(TestSuite|TestKilledProcess)$")
}

// TestRootlessEgress makes a network with somebody outside, in a namespace of its own, and
// lets an ordinary user's steps go there.
func TestRootlessEgress(t *testing.T) {
	needRoot(t)
	enginetest.Alone(t, "TestRootlessEgressChild")
}

func TestRootlessEgressChild(t *testing.T) {
	enginetest.StartAlone(t)
	t.Setenv("ACRUX_TEST_OUTSIDE", outside(t))
	enginetest.AsUser(t, "^TestUserReachesOutside$")
}

func TestUserReachesOutside(t *testing.T) {
	address := os.Getenv("ACRUX_TEST_OUTSIDE")
	if address == "" || !enginetest.IsUser() {
		t.Skip("runs as a part of TestRootlessEgress")
	}
	reachOutside(t, t.TempDir(), address)
}

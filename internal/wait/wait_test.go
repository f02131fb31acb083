package wait_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/wait"
)

func TestUntil(t *testing.T) {
	cause := errors.New("the cause")
	ended, end := context.WithCancelCause(t.Context())
	end(cause)
	if err := wait.For(ended, time.Hour); !errors.Is(err, cause) {
		t.Errorf("a context that ended: %v", err)
	}
	if err := wait.For(ended, 0); err != nil {
		t.Errorf("a wait of nothing: %v", err)
	}
	began := time.Now()
	if err := wait.For(t.Context(), time.Millisecond); err != nil || time.Since(began) < time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	var bell wait.Bell
	rung := bell.Rung()
	bell.Ring()
	if err := wait.Until(t.Context(), time.Hour, rung); err != nil {
		t.Errorf("a bell: %v", err)
	}
}

// A ring wakes all who wait, and nobody who asks afterwards.
func TestBell(t *testing.T) {
	var bell wait.Bell
	bell.Ring() // nobody waits
	one, other := bell.Rung(), bell.Rung()
	bell.Ring()
	<-one
	<-other
	select {
	case <-bell.Rung():
		t.Error("it was rung before")
	default:
	}
}

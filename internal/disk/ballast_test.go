package disk

import (
	"errors"
	"log/slog"
	"runtime"
	"syscall"
	"testing"
)

// The last part of a reserve is held, given up in parts, and held again.
func TestBallast(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("files hold nothing there")
	}
	const reserve = 64 << 20
	free := int64(1 << 30)
	r := New(t.TempDir(), reserve, slog.New(slog.DiscardHandler))
	r.free = func(string) (int64, error) { return free, nil }
	held := func(want int64) {
		t.Helper()
		if n := r.ballast.held(); n != want {
			t.Errorf("%d bytes are held, want %d", n, want)
		}
	}
	refill := func() {
		t.Helper()
		if err := r.Refill(); err != nil {
			t.Fatal(err)
		}
	}
	r.Spend() // nothing is there
	held(0)
	refill()
	held(reserve / 4)
	r.Spend() // nothing is needed
	held(reserve / 4)
	free = enough - 1000
	r.Spend()
	held(reserve/4 - 1000)
	if err := r.Last(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	refill()
	held(reserve/4 - 1000)
	free = 0
	r.Spend()
	held(reserve/4 - 1000 - enough)
	r.SpendAll()
	held(0)
	r.Spend()
	held(0)
	free = reserve + reserve/4
	refill()
	held(reserve / 4)
	if err := r.Last(); err != nil {
		t.Error(err)
	}
}

// No reserve holds nothing and refuses nothing.
func TestNoBallast(t *testing.T) {
	var r *Reserve
	r.Spend()
	r.SpendAll()
	if err := errors.Join(r.Refill(), r.Last()); err != nil {
		t.Error(err)
	}
}

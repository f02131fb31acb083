package leasetest

import "testing"

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) Fixture {
		m := new(Memory)
		return Fixture{Leaser: m, Queue: m.Queue, Cancel: m.Cancel, Expire: m.Expire, Status: m.Status, Log: m.Log}
	})
}

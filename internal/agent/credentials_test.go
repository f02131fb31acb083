package agent

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrux/acrux/internal/engine"
)

func TestCredentialsAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		c := new(credentials)
		renew := func(context.Context) (engine.Credential, error) {
			if calls++; calls == 2 {
				return engine.Credential{}, errors.New("not now")
			}
			return engine.Credential{Username: strconv.Itoa(calls)}, nil
		}
		c.set("R.azurecr.io", &entry{due: time.Now().Add(renewAfter), credential: engine.Credential{Username: "0"}, renew: renew})
		for i, step := range []struct {
			after time.Duration
			want  string
		}{{0, "0"}, {renewAfter, "1"}, {renewAfter, "1"}, {renewAgain - time.Second, "1"}, {time.Second, "3"}, {renewAgain, "3"}, {renewAfter, "4"}} {
			time.Sleep(step.after)
			if got, ok := c.Credential("r.azurecr.io"); !ok || got.Username != step.want {
				t.Errorf("step %d: got %q, %v, want %q", i, got.Username, ok, step.want)
			}
		}
	})
}

// A registry that does not answer holds up nobody who needs another one.
func TestRenewalHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(credentials)
		c.set("slow.example", &entry{renew: func(ctx context.Context) (engine.Credential, error) {
			<-ctx.Done()
			return engine.Credential{}, ctx.Err()
		}})
		c.set("other.example", &entry{credential: engine.Credential{Username: "me"}})
		began := time.Now()
		var slow sync.WaitGroup
		slow.Go(func() { c.Credential("slow.example") })
		synctest.Wait()
		if got, ok := c.Credential("other.example"); !ok || got.Username != "me" || time.Since(began) > 0 {
			t.Errorf("got %q, %v after %s", got.Username, ok, time.Since(began))
		}
		slow.Wait()
	})
}

package agent

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrux/acrux/internal/engine"
)

func TestCredentialsAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		c := new(credentials)
		c.set("R.azurecr.io", &entry{at: time.Now(), credential: engine.Credential{Username: "0"}, renew: func(context.Context) (engine.Credential, error) {
			if calls++; calls == 2 {
				return engine.Credential{}, errors.New("not now")
			}
			return engine.Credential{Username: strconv.Itoa(calls)}, nil
		}})
		for i, want := range []string{"0", "1", "1", "3"} {
			if got, ok := c.Credential("r.azurecr.io"); !ok || got.Username != want {
				t.Errorf("after %d hours: got %q, %v, want %q", i, got.Username, ok, want)
			}
			time.Sleep(renewAfter + time.Second)
		}
	})
}

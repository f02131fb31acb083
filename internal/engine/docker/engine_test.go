//go:build linux

package docker

import (
	"testing"

	"github.com/moby/moby/client"
)

func connect(t *testing.T, host string) *client.Client {
	t.Helper()
	c, err := client.New(client.WithHost(host))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

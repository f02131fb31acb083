//go:build linux

package imagestore

import (
	"net/url"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/acrux/acrux/internal/egress"
)

// What is read from a mirror is read nowhere else; a registry without one is everything
// itself.
func TestHosts(t *testing.T) {
	r := NewRegistries(&egress.Dialer{Mirrors: map[string]url.URL{"docker.io": {Scheme: "http", Host: "127.0.0.1:5000", Path: "/hub"}}})
	const reading = docker.HostCapabilityPull | docker.HostCapabilityResolve
	type place struct {
		host, path string
		can        docker.HostCapabilities
	}
	for host, want := range map[string][]place{
		"docker.io":        {{"127.0.0.1:5000", "/v2/hub", reading}, {"registry-1.docker.io", "/v2", docker.HostCapabilityPush}},
		"index.docker.io":  {{"127.0.0.1:5000", "/v2/hub", reading}, {"registry-1.docker.io", "/v2", docker.HostCapabilityPush}},
		"registry.example": {{"registry.example", "/v2", reading | docker.HostCapabilityPush}},
	} {
		hosts, err := r.Hosts(nil)(host)
		if err != nil || len(hosts) != len(want) {
			t.Fatalf("%s: %v, %v", host, hosts, err)
		}
		for i, h := range hosts {
			if got := (place{h.Host, h.Path, h.Capabilities}); got != want[i] {
				t.Errorf("%s: %+v, want %+v", host, got, want[i])
			}
		}
	}
}

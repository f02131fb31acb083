package egress_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/egress"
)

// What could not be reached is told with the way to have it all the same; what was reached, or is
// not to be reached, is not.
func TestAdvice(t *testing.T) {
	away := fmt.Errorf("Head: %w", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}})
	closed := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	judged := &net.OpError{Op: "dial", Err: problem.New(problem.Invalid, "AddressNotAllowed", "no")}
	server := &egress.Dialer{
		Mirrors: map[string]url.URL{"docker.io": {Scheme: "http", Host: "m:5000", User: url.UserPassword("u", "hidden")}},
		Own:     func(host string) (string, bool) { return "", host == "own.example" },
		Namesake: func(host string) (string, bool) {
			return "base.azurecr.here:8443", host == "base.azurecr.io"
		},
	}
	machine := &egress.Dialer{MirrorFlag: "--registry-mirror"}
	tests := []struct {
		name   string
		dialer *egress.Dialer
		host   string
		err    error
		want   string // empty is nothing at all
	}{
		{"no name", server, "quay.io", away, "registryMirrors: {quay.io: http://MIRROR:5000}"},
		{"no connection", server, "quay.io", closed, "registryMirrors: {quay.io: "},
		{"a name of Docker Hub", machine, "registry-1.docker.io", away, "--registry-mirror docker.io=http://MIRROR:5000"},
		{"a mirror that is down", server, "index.docker.io", closed, "its mirror http://u:xxxxx@m:5000, which does not answer"},
		{"called like one here", server, "base.azurecr.io", away, "write base.azurecr.here:8443 in place of base.azurecr.io\n"},
		{"or its alias", server, "base.azurecr.io", away, "loginServerAliases: {base.azurecr.io: ID}"},
		{"called like none", server, "other.azurecr.io", away, "registryMirrors: {other.azurecr.io: "},
		{"own", server, "own.example", closed, ""},
		{"not allowed", server, "quay.io", judged, ""},
		{"an answer", server, "base.azurecr.io", errors.New("404"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.dialer.Advice(tt.host, tt.err)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("%q", got)
			}
			for line := range strings.Lines(got) {
				if !strings.HasPrefix(line, "hint: ") {
					t.Errorf("the line %q would be taken for a cause", line)
				}
			}
		})
	}
}

package egress_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/egress"
)

func TestPolicy(t *testing.T) {
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	everything := egress.Policy{Loopback: true, Allow: prefixes("0.0.0.0/0", "::/0")}
	narrow := egress.Policy{Allow: prefixes("127.0.0.9/32", "10.1.0.0/16"), Deny: prefixes("10.0.0.0/8", "2001:db8::/32")}
	for _, test := range []struct {
		name   string
		policy egress.Policy
		addr   string
		want   bool
	}{
		{"public", egress.Policy{}, "93.184.216.34", true},
		{"private", egress.Policy{}, "10.1.2.3", true},
		{"loopback", egress.Policy{}, "127.0.0.1", false},
		{"loopback, far", egress.Policy{}, "127.8.9.1", false},
		{"loopback, six", egress.Policy{}, "::1", false},
		{"loopback, mapped", egress.Policy{}, "::ffff:127.0.0.1", false},
		{"loopback, allowed", egress.Policy{Loopback: true}, "127.0.0.1", true},
		{"loopback, six, allowed", egress.Policy{Loopback: true}, "::1", true},
		{"metadata of AWS over IPv6", everything, "fd00:ec2::254", false},
		{"metadata of Alibaba", everything, "100.100.100.200", false},
		{"metadata of Azure", everything, "168.63.129.16", false},
		{"link-local", everything, "169.254.169.254", false},
		{"link-local, mapped", everything, "::ffff:169.254.169.254", false},
		{"link-local, translated", everything, "64:ff9b::a9fe:a9fe", false},
		{"link-local, six", everything, "fe80::1", false},
		{"link-local, zone", everything, "fe80::1%eth0", false},
		{"unspecified", everything, "0.0.0.0", false},
		{"unspecified, six", everything, "::", false},
		{"unspecified, mapped", everything, "::ffff:0.0.0.0", false},
		{"multicast", everything, "224.0.0.1", false},
		{"multicast, six", everything, "ff02::1", false},
		{"broadcast", everything, "255.255.255.255", false},
		{"denied", narrow, "10.2.0.1", false},
		{"denied, mapped", narrow, "::ffff:10.2.0.1", false},
		{"denied, translated", narrow, "64:ff9b::a02:1", false},
		{"denied, six", narrow, "2001:db8::1", false},
		{"allowed in spite", narrow, "10.1.0.1", true},
		{"one of loopback", narrow, "127.0.0.9", true},
		{"another of loopback", narrow, "127.0.0.1", false},
	} {
		err := test.policy.Check(netip.MustParseAddr(test.addr))
		if (err == nil) != test.want || err != nil && !problem.Is(err, problem.Invalid) {
			t.Errorf("%s: %s: %v", test.name, test.addr, err)
		}
	}
}

// The connected address is judged, whatever name led to it; own names go where they
// live and nowhere else.
func TestDialer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if target := r.URL.Query().Get("to"); target != "" {
			http.Redirect(w, r, target, http.StatusFound)
		}
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	own := func(host string) (string, bool) { return address, strings.HasPrefix(host, "mine.test") }
	get := func(policy egress.Policy, target string) error {
		d := &egress.Dialer{Policy: policy, Own: own}
		transport := d.Transport()
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		return err
	}
	for _, test := range []struct {
		name   string
		policy egress.Policy
		target string
		want   bool
	}{
		{"loopback allowed", egress.Policy{Loopback: true}, server.URL, true},
		{"loopback", egress.Policy{}, server.URL, false},
		{"loopback by name", egress.Policy{}, "http://localhost:" + port, false},
		{"own name", egress.Policy{}, "http://mine.test", true},
		{"own name leads to loopback", egress.Policy{}, "http://mine.test/?to=" + url.QueryEscape(server.URL), false},
		{"own name leads to metadata", egress.Policy{Loopback: true}, "http://mine.test/?to=" + url.QueryEscape("http://169.254.169.254/metadata"), false},
	} {
		if err := get(test.policy, test.target); (err == nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestNames(t *testing.T) {
	d := &egress.Dialer{Own: func(host string) (string, bool) { return "", host == "mine.localhost" || host == "localhost:1" },
		Mirrors: map[string]url.URL{"docker.io": {Scheme: "http", Host: "mirror:5000"}}}
	for host, want := range map[string]bool{"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "[::1]:5000": true, "localhost:1": false,
		"mine.localhost": false, "example.com": false, "127.0.0.1.example.com": false, "10.0.0.1": false} {
		if got := d.PlainHTTP(host); got != want {
			t.Errorf("%s without TLS: %v", host, got)
		}
	}
	for host, want := range map[string]bool{"docker.io": true, "Index.Docker.io": true, "registry-1.docker.io": true, "registry.hub.docker.com": true, "docker.io.example.com": false} {
		if _, got := d.Mirror(host); got != want {
			t.Errorf("%s has a mirror: %v", host, got)
		}
	}
}

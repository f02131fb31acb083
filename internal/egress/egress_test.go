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
		{"metadata of AWS, with a zone", everything, "fd00:ec2::254%eth0", false},
		{"another service of AWS", everything, "fd00:ec2::123", false},
		{"metadata of Google over IPv6", everything, "fd20:ce::254", false},
		{"metadata of Scaleway over IPv6", everything, "fd00:42::42", false},
		{"metadata of Oracle", everything, "192.0.0.192", false},
		{"nobody", everything, "0.1.2.3", false},
		{"networks of runs", egress.Policy{}, "100.127.0.2", false},
		{"networks of runs, denied by default only", egress.Policy{Loopback: true}, "100.127.0.2", true},
		{"beside the networks of runs", egress.Policy{}, "100.126.0.2", true},

		{"NAT64 of somebody", egress.Policy{}, "64:ff9b::5db8:d822", true},
		{"NAT64 of loopback", egress.Policy{}, "64:ff9b::7f00:1", false},
		{"NAT64 of metadata", everything, "64:ff9b::a83f:8110", false},
		{"NAT64 of one's own, of somebody", egress.Policy{}, "64:ff9b:1::5db8:d822", true},
		{"NAT64 of one's own, of loopback", egress.Policy{}, "64:ff9b:1::7f00:1", false},
		{"NAT64 of one's own, /48", everything, "64:ff9b:1:a9fe:a9:fe00::", false},
		{"NAT64 of one's own, /56", everything, "64:ff9b:1:a9:fe:a9fe::", false},
		{"NAT64 of one's own, /64", everything, "64:ff9b:1:0:a9:fea9:fe00:0", false},
		{"SIIT of loopback", egress.Policy{}, "::ffff:0:127.0.0.1", false},
		{"SIIT of metadata", everything, "::ffff:0:169.254.169.254", false},
		{"compatible with loopback", egress.Policy{}, "::127.0.0.1", false},
		{"compatible with metadata", everything, "::169.254.169.254", false},
		{"6to4 of somebody", egress.Policy{}, "2002:5db8:d822::1", true},
		{"6to4 of loopback", egress.Policy{}, "2002:7f00:1::1", false},
		{"6to4 of metadata", everything, "2002:a9fe:a9fe::1", false},
		{"6to4 of what is denied", narrow, "2002:a02:1::", false},
		{"6to4 of what is allowed", narrow, "2002:a01:1::", true},
		{"Teredo of somebody", egress.Policy{}, "2001:0:5db8:d822:0:0:a247:27dd", true},
		{"Teredo of loopback", egress.Policy{}, "2001:0:5db8:d822:0:0:80ff:fffe", false},
		{"Teredo of metadata", everything, "2001:0:5db8:d822:0:0:5601:5601", false},
		{"Teredo by loopback", egress.Policy{}, "2001:0:7f00:1:0:0:a247:27dd", false},
		{"ISATAP of somebody", egress.Policy{}, "2001:db8::5efe:5db8:d822", true},
		{"ISATAP of loopback", egress.Policy{}, "2001:db8::5efe:7f00:1", false},
		{"ISATAP of metadata, global", everything, "2001:db8::200:5efe:a9fe:a9fe", false},
		{"not translated", narrow, "2620:0:a02:1::1", true},

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

// What content names is judged by its own policy. A mirror is reached as the mirror, and
// not by its address, nor does it lead anywhere else.
func TestContentAndMirrors(t *testing.T) {
	listen := func(handler http.HandlerFunc) *httptest.Server {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server
	}
	other := listen(func(http.ResponseWriter, *http.Request) {})
	mirror := listen(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, other.URL, http.StatusFound)
		}
	})
	at, err := url.Parse(mirror.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := &egress.Dialer{Policy: egress.Policy{Loopback: true}, Mirrors: map[string]url.URL{"docker.io": *at}}
	content := d.ForContent()
	get := func(transport *http.Transport, target string) bool {
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get(target)
		return err == nil && response.Body.Close() == nil
	}
	for _, test := range []struct {
		name      string
		transport *http.Transport
		target    string
		want      bool
	}{
		{"caller", d.Transport(), other.URL, true},
		{"content", content.Transport(), other.URL, false},
		{"content names the mirror", content.Transport(), mirror.URL, false},
		{"the mirror for content", content.TransportOf("docker.io"), mirror.URL, true},
		{"the mirror leads away", content.TransportOf("docker.io"), mirror.URL + "/away", false},
		{"another host has none", content.TransportOf("example.com"), mirror.URL, false},
		{"another host by the mirrors' transport", content.MirrorTransport(), other.URL, false},
	} {
		if got := get(test.transport, test.target); got != test.want {
			t.Errorf("%s: %v", test.name, got)
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

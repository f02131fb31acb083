package egress

import (
	"fmt"
	"net/http"
)

// OnlyTLS returns a transport that says nothing to a registry host ("name:port") without
// TLS, nor a credential or a body to anybody: not because the host's name looks private, and
// not because somebody redirects there. Content, which has a digest, may lie elsewhere. It is
// for hosts that Dialer.PlainHTTP does not name, and as safe for concurrent use as base.
func OnlyTLS(host string, base http.RoundTripper) http.RoundTripper { return onlyTLS{host, base} }

type onlyTLS struct {
	host string
	http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t onlyTLS) RoundTrip(req *http.Request) (*http.Response, error) {
	harmless := req.URL.Host != t.host && req.Header.Get("Authorization") == "" && req.Body == nil
	if req.URL.Scheme != "https" && !harmless {
		if req.Body != nil {
			_ = req.Body.Close() // as the interface wants it; the request fails anyway
		}
		return nil, fmt.Errorf("%s is spoken to with TLS only", req.URL.Host)
	}
	return t.RoundTripper.RoundTrip(req)
}

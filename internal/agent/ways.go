package agent

import (
	"net/http"
	"strings"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine/source"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// ways are those out of this agent, under one policy.
type ways struct {
	dialer    *egress.Dialer
	transport http.RoundTripper
	sources   *source.Fetcher
}

// newWays makes them. What a repository names in turn is content in any case.
func newWays(dialer *egress.Dialer, maxBytes int64) ways {
	transport := dialer.Transport()
	return ways{dialer, transport, &source.Fetcher{
		Transport: transport, Content: dialer.ForContent().Transport(),
		MaxBytes: maxBytes, Registry: artifactsAt(dialer, transport),
	}}
}

func (w ways) client() *http.Client { return &http.Client{Transport: w.transport} }

// artifactsAt says where the artifacts of a registry are: at its mirror, if it has one.
func artifactsAt(dialer *egress.Dialer, direct http.RoundTripper) func(host string) source.Place {
	mirrors := dialer.MirrorTransport()
	return func(host string) source.Place {
		if mirror, ok := dialer.Mirror(host); ok {
			at := mirror.Host + strings.TrimSuffix(mirror.Path, "/")
			return source.Place{Host: at, Plain: mirror.Scheme == "http", Transport: mirrors}
		}
		return source.Place{Host: host, Plain: dialer.PlainHTTP(host), Transport: direct}
	}
}

// named are the ways to what the job's task file names. A file that came with the job is
// the caller's word; one out of a context is content.
func (r *run) named() ways {
	if r.job.Step.Kind == lease.EncodedTask {
		return r.agent.asked
	}
	return r.agent.content
}

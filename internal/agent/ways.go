package agent

import (
	"net/http"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine/source"
	"github.com/acrux/acrux/internal/registryclient"
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
		MaxBytes: maxBytes, Registries: registryclient.New(dialer, "acrux"),
	}}
}

func (w ways) client() *http.Client { return &http.Client{Transport: w.transport} }

// named are the ways to what the job's task file names. A file that came with the job is
// the caller's word; one out of a context is content.
func (r *run) named() ways {
	if r.job.Step.Kind == lease.EncodedTask {
		return r.agent.asked
	}
	return r.agent.content
}

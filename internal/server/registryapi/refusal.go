package registryapi

import (
	"net/http"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

// What is refused for good must not look like what may be better in a moment. Clients tell
// the two apart by the status: BuildKit and oras send a request again that got 500 or more,
// and the Azure CLI whatever got none of 200 to 204, 401, 404, 405 and 409: three times,
// with five seconds after each. Podman and docker go by the code and repeat what has one
// that they do not know, such as ACR's of a lock.

// status is that of a refusal, which is changed where the client shows less than we say.
func (c *call) status(p *problem.Error) (int, *problem.Error) {
	switch {
	case p.Code == "RANGE_INVALID":
		return http.StatusRequestedRangeNotSatisfiable, p
	case p.Kind == problem.Unsupported:
		return http.StatusMethodNotAllowed, p
	case p.Kind == problem.Denied && c.byAzure():
		return http.StatusUnauthorized, c.lacking(p)
	case p.Code == registry.Disallowed && !c.byAzure():
		return p.Kind.Status(), withCode(p, "DENIED")
	case (p.Kind == problem.Invalid || p.Kind == problem.TooLarge) && c.byAzureCLI():
		return lastWord(p), p
	}
	return p.Kind.Status(), p
}

// lacking is a denial as ACR has it: the token lacks a right. Those who ask so show the
// message and nothing else, so it has to say what helps. On /v2/ everybody else is told
// 403: of a 401 containerd shows one word of a header, podman that the password is wrong.
func (c *call) lacking(p *problem.Error) *problem.Error {
	c.demand("insufficient_scope")
	said := withCode(p, "UNAUTHORIZED")
	said.Message = strings.TrimSuffix(p.Message, ".")
	for _, hint := range p.Hints {
		if strings.HasPrefix(hint, "az ") {
			hint = "`" + hint + "`" // the Azure CLI ends each message with a full stop
		}
		said.Message += "; what helps: " + hint
	}
	return said
}

// withCode is the same problem under another code.
func withCode(p *problem.Error, code string) *problem.Error {
	other := *p
	other.Code = code
	return &other
}

// lastWord is the status by which the Azure CLI takes a request for wrong: what cannot be
// the name of anything is not there.
func lastWord(p *problem.Error) int {
	switch p.Code {
	case "NAME_INVALID", "DIGEST_INVALID", "TAG_INVALID":
		return http.StatusNotFound
	}
	return http.StatusConflict
}

// byAzure reports whether a client of Azure's sends the request. No others use the metadata
// API, but for our own, which shows hints by itself.
func (c *call) byAzure() bool {
	return c.req.metadata() && c.UserAgent() != "acrux" || c.byAzureCLI()
}

// metadata reports whether the request is of ACR's metadata API.
func (r request) metadata() bool { return r.Kind >= acrCatalog }

// byAzureCLI reports whether the Azure CLI sends the request, as far as can be seen: it has
// the name of its library, and outside of the metadata API it reads and deletes.
func (c *call) byAzureCLI() bool {
	reads := c.Method == http.MethodGet || c.Method == http.MethodDelete
	return (reads || c.req.metadata()) && strings.HasPrefix(c.UserAgent(), "python-requests/")
}

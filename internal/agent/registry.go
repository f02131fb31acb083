package agent

import (
	"fmt"
	"net"
	"strings"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
)

// userAgent is what Azure's runner calls itself.
const userAgent = "azure/acr/tasks"

// AzureSuffixes are what the login servers of Azure's registries end in, in its public,
// Chinese and American clouds.
var AzureSuffixes = []string{"azurecr.io", "azurecr.cn", "azurecr.us"}

// registries are those that a task signs in to.
type registries struct {
	*registryclient.Client
	suffixes []string // of Azure's registries
}

func newRegistries(dialer *egress.Dialer, suffixes []string) *registries {
	return &registries{registryclient.New(dialer, userAgent), suffixes}
}

// exchanges reports whether a host is told who the task is. A token of an identity is taken
// by every registry that knows the identity, so it goes to those alone that have a use
// for it: registries of this installation, and Azure's. Neither is spoken to without TLS.
func (c *registries) exchanges(host string) bool {
	if c.Dialer.Own != nil {
		if _, own := c.Dialer.Own(host); own {
			return true
		}
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, "443"
	}
	for _, suffix := range c.suffixes {
		if strings.HasSuffix(strings.ToLower(name), "."+suffix) {
			return port == "443"
		}
	}
	return false
}

// explainStranger is for a registry that is not told who the task is.
func (r *run) explainStranger(registry string) error {
	return engine.Failure(fmt.Sprintf("%sthe registry %s is not given a token of an identity: "+
		"only registries of this installation are, and those of Azure (%s)\nhint: give it a user name and a password: "+
		"az acr task credential update --name %s --registry %s --login-server %s --username USER --password PASSWORD",
		resolving, registry, strings.Join(r.registries.suffixes, ", "), r.job.TaskName, r.job.RegistryName, registry))
}

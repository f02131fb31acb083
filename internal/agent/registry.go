package agent

import (
	"fmt"
	"strings"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
)

// userAgent is what Azure's runner calls itself.
const userAgent = "azure/acr/tasks"

// registriesOf are the registries that tasks of an agent sign in to.
func registriesOf(o Options) *registryclient.Client {
	client := registryclient.New(o.Dialer, userAgent)
	client.Suffixes = o.AzureSuffixes
	return client
}

// explainStranger is for a registry that is not told who the task is.
func (r *run) explainStranger(registry string) error {
	return engine.Failure(fmt.Sprintf("%sthe registry %s is not given a token of an identity: "+
		"only registries of this installation are, and those of Azure (%s)\nhint: give it a user name and a password: "+
		"az acr task credential update --name %s --registry %s --login-server %s --username USER --password PASSWORD",
		resolving, registry, strings.Join(r.registries.Suffixes, ", "), r.job.TaskName, r.job.RegistryName, registry))
}

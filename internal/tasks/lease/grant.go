package lease

import (
	"fmt"
	"regexp"
	"strings"
)

// Grant is what a task needs to use a registry that is not its own, as commands for its author.
type Grant struct {
	Task, Registry string // the task and its registry
	LoginServer    string // of the other registry, as the task's file names it
	Target         string // the name of that registry, if it is one of this installation
	Identity       string // as --use-identity takes it: a client ID or [system]
	Principal      string // of that identity; empty if it is not known
	Push           bool
}

// System is the system-assigned identity, as --use-identity takes it.
const System = "[system]"

// clientID is the form of what can stand in a command; a credential may have any text there.
var clientID = regexp.MustCompile(`^[0-9A-Za-z-]+$`)

// AssignIdentity gives the task the identity; empty if that is not known to be one.
func (g Grant) AssignIdentity() string {
	line := fmt.Sprintf("az acr task identity assign --name %s --registry %s", g.Task, g.Registry)
	switch {
	case g.Identity == System:
		return line + " --identities " + System
	case !clientID.MatchString(g.Identity):
		return ""
	}
	return line + fmt.Sprintf(` --identities $(az identity list --query "[?clientId=='%s'].id" --output tsv)`, g.Identity)
}

// AddCredential lets the task sign in at the registry with the identity.
func (g Grant) AddCredential() string {
	return fmt.Sprintf("az acr task credential add --name %s --registry %s --login-server %s --use-identity %s",
		g.Task, g.Registry, g.LoginServer, g.Identity)
}

// AssignRole gives the identity the right; empty where this installation gives none.
func (g Grant) AssignRole() string {
	if g.Target == "" || g.Identity != System && !clientID.MatchString(g.Identity) {
		return ""
	}
	role, principal := "AcrPull", g.Principal
	if g.Push {
		role = "AcrPush"
	}
	switch {
	case principal != "":
	case g.Identity == System:
		principal = fmt.Sprintf("$(az acr task show --name %s --registry %s --query identity.principalId --output tsv)", g.Task, g.Registry)
	default:
		principal = fmt.Sprintf(`$(az identity list --query "[?clientId=='%s'].principalId" --output tsv)`, g.Identity)
	}
	return fmt.Sprintf("az role assignment create --assignee %s --scope $(az acr show --name %s --query id --output tsv) --role %s",
		principal, g.Target, role)
}

// Hints are the commands that there are, a line each.
func Hints(commands ...string) string {
	var b strings.Builder
	for _, command := range commands {
		if command != "" {
			b.WriteString("\nhint: " + command)
		}
	}
	return b.String()
}

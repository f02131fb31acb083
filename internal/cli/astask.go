package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/agent/local"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// taskDetails is what a run as a task has of it.
type taskDetails struct {
	Identity *struct {
		PrincipalID string
		Users       map[string]struct{ PrincipalID, ClientID string } `json:"userAssignedIdentities"`
	}
	Properties struct {
		Credentials struct {
			Custom map[string]struct {
				Identity           string
				UserName, Password *secretObject
			} `json:"customRegistries"`
		}
	}
}

// secretObject is a secret as a task has it: the text, or where it is.
type secretObject struct{ Type, Value string }

// asTask gives the job the identities and the credentials of a task, and the run the way
// to their tokens, which the server gives for each request anew.
func (r *localRun) asTask(ctx context.Context, c *call, job *lease.Job, o *local.Options) error {
	registry, err := c.findRegistry(ctx, job.RegistryName)
	if err != nil {
		return err
	}
	id := registry.Child("tasks", r.task)
	var details taskDetails
	if _, err := c.client.Do(ctx, "POST", id.String()+"/listDetails", tasksVersion, nil, &details); err != nil {
		return err
	}
	job.TaskName, job.TaskID = id.Name(), id.String()
	job.Identities = details.identities(id)
	logins, err := details.logins()
	if err != nil {
		return err
	}
	job.Logins = append(job.Logins, logins...)
	o.Token = func(ctx context.Context, request lease.TokenRequest) (lease.AccessToken, error) {
		return c.taskToken(ctx, id, request)
	}
	return nil
}

func (d *taskDetails) identities(task arm.ID) []lease.Identity {
	var all []lease.Identity
	if d.Identity == nil {
		return nil
	}
	if d.Identity.PrincipalID != "" {
		all = append(all, lease.Identity{PrincipalID: d.Identity.PrincipalID, Name: task.Name(), System: true})
	}
	for _, resource := range slices.Sorted(maps.Keys(d.Identity.Users)) {
		user := d.Identity.Users[resource]
		name := resource[strings.LastIndex(resource, "/")+1:]
		all = append(all, lease.Identity{ClientID: user.ClientID, PrincipalID: user.PrincipalID, ResourceID: resource, Name: name})
	}
	return all
}

// logins are those of the registries that the task has credentials for.
func (d *taskDetails) logins() ([]lease.Login, error) {
	var all []lease.Login
	for _, server := range slices.Sorted(maps.Keys(d.Properties.Credentials.Custom)) {
		credential := d.Properties.Credentials.Custom[server]
		login := lease.Login{Registry: server}
		switch {
		case strings.EqualFold(strings.Trim(credential.Identity, "[]"), lease.SystemIdentity):
			login.Identity = lease.SystemIdentity
		case credential.Identity != "":
			login.Identity = strings.ToLower(credential.Identity)
		default:
			for _, object := range []*secretObject{credential.UserName, credential.Password} {
				if object != nil && !strings.EqualFold(object.Type, "Opaque") {
					return nil, problem.New(problem.Unsupported, "NotImplemented", "the credential for %s lies in a key vault, which a run on this machine does not read", server)
				}
			}
			login.Username, login.Password = credential.UserName.secret(), credential.Password.secret()
		}
		all = append(all, login)
	}
	return all, nil
}

func (s *secretObject) secret() secret.String {
	if s == nil {
		return secret.String{}
	}
	return secret.New(s.Value)
}

// taskToken asks the server for a token of one of a task's identities.
func (c *call) taskToken(ctx context.Context, task arm.ID, request lease.TokenRequest) (lease.AccessToken, error) {
	body := document{"audience": request.Audience, "clientId": request.ClientID, "principalId": request.PrincipalID, "resourceId": request.ResourceID}
	var given struct {
		Token, ClientID      string
		NotBefore, ExpiresAt time.Time
	}
	_, err := c.client.Do(ctx, "POST", task.String()+"/getIdentityToken", tasksVersion, body, &given)
	return lease.AccessToken{Token: secret.New(given.Token), ClientID: given.ClientID, NotBefore: given.NotBefore, ExpiresAt: given.ExpiresAt}, err
}

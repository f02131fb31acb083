package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// resolveLogins finds a credential for each registry of the job: the one that is
// given, or a refresh token for one of the task's identities. The second time it does
// nothing.
func (r *run) resolveLogins(ctx context.Context) error {
	if r.resolved {
		return nil
	}
	for _, login := range r.job.Logins {
		found := &entry{credential: engine.Credential{Username: login.Username.Reveal(), Password: login.Password}}
		if login.Identity != "" {
			identity, err := r.identity(login)
			if err != nil {
				return err
			}
			found.renew = func(ctx context.Context) (engine.Credential, error) {
				return r.identityLogin(ctx, login.Registry, identity)
			}
			if found.credential, err = found.renew(ctx); err != nil {
				return err
			}
			found.due = time.Now().Add(renewAfter)
		}
		r.mask.Add(found.credential.Password, dockerAuth(found.credential))
		for _, host := range append([]string{login.Registry}, login.Aliases...) {
			r.credentials.set(host, found)
		}
	}
	r.resolved = true
	return nil
}

// resolving is how the runner calls this stage when it fails.
const resolving = "failed to unmarshal task before running: failed to resolve secrets: "

// identityLogin makes a credential for a registry out of an identity.
func (r *run) identityLogin(ctx context.Context, registry string, identity lease.Identity) (engine.Credential, error) {
	if !r.registries.Exchanges(registry) {
		return engine.Credential{}, r.explainStranger(registry)
	}
	token, err := r.leaser.Token(ctx, r.lease.Key, lease.TokenRequest{Audience: registryclient.Audience, ClientID: identity.ClientID})
	if err != nil {
		return engine.Credential{}, explainToken(err)
	}
	r.mask.Add(token.Token)
	var refresh secret.String
	err = registryclient.Attempts(ctx, func(ctx context.Context) (err error) {
		refresh, err = r.registries.Exchange(ctx, registry, token.Token)
		return err
	})
	if err != nil {
		return engine.Credential{}, r.explainExchange(ctx, registry, err)
	}
	credential := engine.Credential{Username: oci.RefreshUser, Password: refresh}
	r.mask.Add(refresh, dockerAuth(credential))
	return credential, nil
}

// explainToken is for a control plane that gives no token.
func explainToken(err error) error {
	var p *problem.Error
	if errors.As(err, &p) && !p.Kind.Ours() {
		return engine.Failure(resolving + p.Text())
	}
	return err
}

// explainExchange says why a registry took no token: first what the registry itself
// has to say, then the runner's own words.
func (r *run) explainExchange(ctx context.Context, registry string, err error) error {
	var refused *registryclient.Refusal
	switch {
	case ctx.Err() != nil:
		return err
	case !errors.As(err, &refused):
		text := fmt.Sprintf("%sfailed to get ACR refresh token from %s, error: %v", resolving, registry, err)
		if called := r.registries.Dialer.Called(registry); called != "" { // a mirror takes no tokens
			text += "\n" + called
		}
		return engine.Failure(text)
	}
	lines := refused.Lines()
	for _, line := range lines {
		r.log.Plain(line)
	}
	denied := engine.Failure(strings.Join(lines, "\n")).Cause()
	r.denied.Store(&denied)
	return engine.Failure(resolving + "failed to get ACR refresh token, exchange API response code: " + refused.Phrase)
}

// cause is why the run failed, on one line and without secrets: with what a registry said when it
// refused the run.
func (r *run) cause(failure engine.Failure) string {
	text := failure.Cause()
	if denied := r.denied.Load(); denied != nil && *denied != "" {
		text += ": " + *denied
	}
	return r.mask.Text(text)
}

// identity finds the identity that a login names.
func (r *run) identity(login lease.Login) (lease.Identity, error) {
	name := strings.Trim(strings.ToLower(login.Identity), "[]")
	for _, identity := range r.job.Identities {
		if name == lease.SystemIdentity && identity.System || name != lease.SystemIdentity && strings.EqualFold(identity.ClientID, login.Identity) {
			return identity, nil
		}
	}
	return lease.Identity{}, engine.Failure(resolving + r.unknownIdentity(login))
}

// logins makes the logins of the engine's run, in the job's order.
func (r *run) logins() []engine.Login {
	var logins []engine.Login
	for _, login := range r.job.Logins {
		credential, _ := r.credentials.Credential(login.Registry)
		logins = append(logins, engine.Login{Registry: login.Registry, Verify: func(ctx context.Context) (engine.Credential, error) {
			err := registryclient.Attempts(ctx, func(ctx context.Context) error {
				return r.registries.Login(ctx, login.Registry, credential.Username, credential.Password)
			})
			return credential, r.explainLogin(ctx, login.Registry, err)
		}})
	}
	return logins
}

// explainLogin words a refused login as docker's client and the runner do.
func (r *run) explainLogin(ctx context.Context, registry string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	text := err.Error()
	var refused *registryclient.Refusal
	if errors.As(err, &refused) {
		if lines := refused.Lines(); len(lines) > 0 {
			text = strings.Join(lines, "\n")
		} else if refused.Status == http.StatusUnauthorized {
			text = "unauthorized: authentication required"
		}
	}
	if advice := r.registries.Dialer.Advice(registry, err); advice != "" {
		text += "\n" + advice
	}
	return engine.Failure(fmt.Sprintf("failed to login, ran out of retries: failed to set docker credentials: "+
		"Error response from daemon: Get %q: %s\n: exit status 1", "https://"+registry+"/v2/", text))
}

// dockerAuth is a credential as docker's configuration has it: a secret as well.
func dockerAuth(credential engine.Credential) secret.String {
	return secret.New(engine.DockerAuth(credential))
}

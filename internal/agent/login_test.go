package agent

import (
	"context"
	"io"
	"strings"
	"sync/atomic"

	"fmt"
	"net/http"
	"testing"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/lease/leasetest"
)

// exchanges gives a refresh token for one token of an identity.
func exchanges(t *testing.T, token, refresh string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.UserAgent(); got != userAgent {
			t.Errorf("user agent %q", got)
		}
		if r.FormValue("grant_type") != "access_token" || r.FormValue("access_token") != token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"refresh_token":%q}`, refresh)
	}
}

// refusing answers an exchange as a registry of this installation does.
func refusing(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"myACRTasksId may not pull from mybaseregistry","detail":{"hints":["az role assignment create --assignee principal-1 --role acrpull"]}}]}`)
}

const oneStep = "version: v1.1.0\nsteps:\n  - cmd: bash echo hi\n"

func TestLogins(t *testing.T) {
	user := lease.Identity{ClientID: "client-1", PrincipalID: "principal-1", Name: "myACRTasksId"}
	tests := []struct {
		name     string
		identity string
		exchange http.HandlerFunc
		status   lease.Status
		want     []string // in the log
	}{
		{"taken", "CLIENT-1", exchanges(t, "identity-token", "refresh"), lease.Succeeded, []string{"Successfully logged into mybaseregistry.azurecr.io"}},
		{"refused", "client-1", refusing, lease.Failed, []string{
			"denied: myACRTasksId may not pull from mybaseregistry",
			"hint: az role assignment create --assignee principal-1 --role acrpull",
			"failed to unmarshal task before running: failed to resolve secrets: failed to get ACR refresh token, exchange API response code: 403 Forbidden",
			"Error: failed during run, err: exit status 1",
		}},
		{"unknown identity", "client-9", nil, lease.Failed, []string{"names the identity client-9, which is not assigned to the task", "--use-identity client-1",
			`hint: az acr task identity assign --name mytask --registry myregistry --identities $(az identity list --query "[?clientId=='client-9'].id" --output tsv)`,
			`hint: az role assignment create --assignee $(az identity list --query "[?clientId=='client-9'].principalId" --output tsv) --scope $(az acr show --name mybaseregistry`,
		}},
		{"principal ID", "principal-1", nil, lease.Failed, []string{
			"which is the principal ID of the identity myACRTasksId",
			"az acr task credential update --name mytask --registry myregistry --login-server mybaseregistry.azurecr.io --use-identity client-1",
		}},
		{"no system identity", "[system]", nil, lease.Failed, []string{"names the identity [system], which is not assigned",
			"hint: az acr task identity assign --name mytask --registry myregistry --identities [system]",
			"hint: az role assignment create --assignee $(az acr task show --name mytask --registry myregistry --query identity.principalId --output tsv) --scope",
		}},
		{"no identity but a shell's", "$(reboot)", nil, lease.Failed, []string{"names the identity $(reboot), which is not assigned", "hint: or, with the identity myACRTasksId"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rig := newRig(t)
			rig.own("mybaseregistry.azurecr.io", registry{password: "refresh", exchange: tt.exchange})
			rig.leaser.OnToken = func(string, lease.TokenRequest) (lease.AccessToken, error) {
				return leasetest.StaticToken("identity-token", "client-1"), nil
			}
			j := job(oneStep)
			j.Identities = []lease.Identity{user}
			j.Logins = append(j.Logins, lease.Login{Registry: "mybaseregistry.azurecr.io", Identity: tt.identity})
			run := rig.leaser.Queue(j)
			rig.start()
			if result := rig.result(run); result.Status != tt.status {
				t.Errorf("status %s", result.Status)
			}
			log := rig.leaser.Log(run)
			for _, text := range tt.want {
				if !strings.Contains(log, text) {
					t.Errorf("%q is not in the log:\n%s", text, log)
				}
			}
		})
	}
}

func TestTransientFailuresAreTriedAgain(t *testing.T) {
	var calls atomic.Int32
	exchange := exchanges(t, "identity-token", "refresh")
	rig := newRig(t)
	rig.own("mybaseregistry.azurecr.io", registry{password: "refresh", exchange: func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		exchange(w, r)
	}})
	rig.leaser.OnToken = func(string, lease.TokenRequest) (lease.AccessToken, error) {
		return leasetest.StaticToken("identity-token", "client-1"), nil
	}
	j := job(oneStep)
	j.Identities = []lease.Identity{{ClientID: "client-1", System: true}}
	j.Logins = append(j.Logins, lease.Login{Registry: "mybaseregistry.azurecr.io", Identity: "system", Aliases: []string{"base.example.com"}})
	run := rig.leaser.Queue(j)
	rig.start()
	if result := rig.result(run); result.Status != lease.Succeeded || calls.Load() != 3 {
		t.Errorf("%s after %d calls:\n%s", result.Status, calls.Load(), rig.leaser.Log(run))
	}
	for _, host := range []string{"mybaseregistry.azurecr.io", "BASE.example.com"} {
		if c, ok := rig.fake.Scopes()[0].Spec.Credentials.Credential(host); !ok || c.Username != oci.RefreshUser || c.Password.Reveal() != "refresh" {
			t.Errorf("%s: got %+v, %v", host, c, ok)
		}
	}
}

func TestRefusedPullNamesTheWayOut(t *testing.T) {
	rig := newRig(t)
	rig.fake.OnCommand = func(_ context.Context, _ engine.Command, out io.Writer) (engine.CommandResult, error) {
		fmt.Fprintln(out, "docker: Error response from daemon: pull access denied")
		return engine.CommandResult{ExitCode: 125, Refused: &registryclient.Refusal{Host: "other.azurecr.io", Status: 401}}, nil
	}
	run := rig.leaser.Queue(job("version: v1.1.0\nsteps:\n  - cmd: other.azurecr.io/app:1\n"))
	rig.start()
	rig.result(run)
	log := strings.ReplaceAll(rig.leaser.Log(run), "\r", "")
	want := "hint: this run has no login for other.azurecr.io; to add one:\n" +
		"hint: az acr task identity assign --name mytask --registry myregistry --identities [system]\n" +
		"hint: az acr task credential add --name mytask --registry myregistry --login-server other.azurecr.io --use-identity [system]\n"
	if !strings.Contains(log, want) {
		t.Errorf("no hint in\n%s", log)
	}
}

// A program that talks of denials is none of a registry.
func TestOwnWordsAreNoRefusal(t *testing.T) {
	rig := newRig(t)
	rig.fake.OnCommand = func(_ context.Context, _ engine.Command, out io.Writer) (engine.CommandResult, error) {
		fmt.Fprintln(out, "401 unauthorized: access denied")
		return engine.CommandResult{ExitCode: 125}, nil
	}
	run := rig.leaser.Queue(job("version: v1.1.0\nsteps:\n  - cmd: other.azurecr.io/app:1\n"))
	rig.start()
	rig.result(run)
	if log := rig.leaser.Log(run); strings.Contains(log, "hint:") {
		t.Errorf("a hint in\n%s", log)
	}
}

// A step whose run has identities finds the endpoint by App Service's variables; the key
// is in no log, and steps of other runs have none of it.
func TestStepsFindTheIdentityEndpoint(t *testing.T) {
	rig := newRig(t)
	var env []string
	rig.fake.OnCommand = func(_ context.Context, command engine.Command, out io.Writer) (engine.CommandResult, error) {
		env = command.Env
		fmt.Fprintln(out, strings.Join(env, "\n"))
		return engine.CommandResult{}, nil
	}
	j := job(oneStep)
	j.Identities = []lease.Identity{{ClientID: "client-1", System: true}}
	run := rig.leaser.Queue(j)
	rig.start()
	rig.result(run)
	text := strings.Join(env, "\n")
	_, key, _ := strings.Cut(text, "IDENTITY_HEADER=")
	key, _, _ = strings.Cut(key, "\n")
	if key == "" || !strings.Contains(text, "MSI_SECRET="+key) || !strings.Contains(text, "IDENTITY_ENDPOINT=http://169.254.169.254/msi/token") {
		t.Errorf("the environment is\n%s", text)
	}
	if log := rig.leaser.Log(run); strings.Contains(log, key) || !strings.Contains(log, "IDENTITY_HEADER=***") {
		t.Errorf("the log is\n%s", log)
	}
	run = rig.leaser.Queue(job(oneStep))
	rig.result(run)
	if text := strings.Join(env, "\n"); strings.Contains(text, "IDENTITY") || strings.Contains(text, "MSI") {
		t.Errorf("without identities the environment is\n%s", text)
	}
}

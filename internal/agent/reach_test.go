package agent

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/lease/leasetest"
)

// What a task file of the caller's names may be on this machine if the policy for callers
// lets it; what one out of a context names may not, nor what a repository leads to.
func TestWhatContentNames(t *testing.T) {
	var asked atomic.Int32
	aliases := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte("who: me\n"))
	}))
	defer aliases.Close()
	archive := tarServer(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	files := map[string]string{
		"aliases": "version: v1.1.0\nalias:\n  src: [" + aliases.URL + "]\nsteps:\n  - cmd: bash echo $who\n",
		"context": "version: v1.1.0\nsteps:\n  - build: -t x " + archive + "/x.tar.gz\n",
	}
	for name, file := range files {
		for kind, want := range map[lease.StepKind]lease.Status{lease.EncodedTask: lease.Succeeded, lease.FileTask: lease.Failed} {
			t.Run(name+" in "+string(kind), func(t *testing.T) {
				asked.Store(0)
				rig := newRig(t)
				rig.dialer.Content = egress.Policy{}
				j := job(file)
				if kind == lease.FileTask {
					j = withContext(t, j, tarServer(t, map[string]string{"acb.yaml": file})+"/x.tar.gz")
				}
				run := rig.leaser.Queue(j)
				rig.start()
				result, log := rig.result(run), rig.leaser.Log(run)
				if result.Status != want || (want == lease.Failed) != strings.Contains(log, "not allowed by this server's egress policy") {
					t.Errorf("%s:\n%s", result.Status, log)
				}
				if want == lease.Failed && asked.Load() != 0 {
					t.Error("the server was asked all the same")
				}
			})
		}
	}
}

// A token of an identity goes to registries of the installation and of Azure, over TLS, and
// neither further on by a redirection nor to a mirror. Others are not asked for one, and the
// reason is told.
func TestWhoIsToldTheIdentity(t *testing.T) {
	for _, test := range []struct {
		name, host string
		told       bool // by a request to the host
		succeeds   bool
	}{
		{"own", "myother.azurecr.acrux.localhost", true, true},
		{"own, with a port", "myother.azurecr.acrux.localhost:8443", true, true},
		{"redirects", "moved.azurecr.acrux.localhost", true, false},
		{"somebody's", "registry.example", false, false},
		{"on loopback, without TLS", "LOOPBACK", false, false},
		{"like Azure's", "azurecr.io.example", false, false},
		{"like Azure's, before", "evilazurecr.io", false, false},
		{"Azure's at another port", "other.azurecr.io:8443", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var told, elsewhere atomic.Int32
			rig := newRig(t)
			exchange := exchanges(t, "identity-token", "refresh")
			counting := func(w http.ResponseWriter, r *http.Request) { told.Add(1); exchange(w, r) }
			stranger := registry{password: "refresh", exchange: func(w http.ResponseWriter, r *http.Request) { elsewhere.Add(1); exchange(w, r) }}.serve(t)
			host := strings.Replace(test.host, "LOOPBACK", stranger.Host, 1)
			name, _, _ := strings.Cut(host, ":")
			if strings.HasSuffix(name, ".acrux.localhost") {
				if test.name == "redirects" {
					counting = func(w http.ResponseWriter, r *http.Request) {
						told.Add(1)
						http.Redirect(w, r, stranger.String()+"/oauth2/exchange", http.StatusTemporaryRedirect)
					}
				}
				rig.own(name, registry{password: "refresh", exchange: counting})
			} else {
				rig.dialer.Mirrors[host] = stranger // where it would be heard of
			}
			var given atomic.Int32
			rig.leaser.OnToken = func(string, lease.TokenRequest) (lease.AccessToken, error) {
				given.Add(1)
				return leasetest.StaticToken("identity-token", "client-1"), nil
			}
			j := job(oneStep)
			j.Identities = []lease.Identity{{ClientID: "client-1", System: true}}
			j.Logins = append(j.Logins, lease.Login{Registry: host, Identity: "system"})
			run := rig.leaser.Queue(j)
			rig.start()
			result, log := rig.result(run), rig.leaser.Log(run)
			if (result.Status == lease.Succeeded) != test.succeeds || (told.Load() > 0) != test.told || elsewhere.Load() > 0 {
				t.Errorf("%s, told %d times, elsewhere %d times:\n%s", result.Status, told.Load(), elsewhere.Load(), log)
			}
			refused := strings.Contains(log, "the registry "+host+" is not given a token of an identity: only registries of this installation are, and those of Azure (azurecr.io")
			if refused == test.told || !test.told && given.Load() > 0 {
				t.Errorf("given %d tokens; the log is\n%s", given.Load(), log)
			}
		})
	}
}

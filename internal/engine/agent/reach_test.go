package agent

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/tasks/lease"
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

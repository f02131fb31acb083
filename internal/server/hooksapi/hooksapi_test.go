package hooksapi_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/hooksapi"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

const (
	repository = "https://git.example.com/team/app.git"
	first      = "67b56589a45103f891bdee7c0546e5d40bc02001"
	second     = "fd489864e7642b48eaad6e3f155c10e46810ec72"
)

// world is an installation with a task that is made from a git repository.
type world struct {
	*servertest.World
	t           *testing.T
	task        arm.ID
	url, secret string
}

func newWorld(t *testing.T, events string) *world {
	t.Helper()
	w := &world{World: servertest.New(t), t: t}
	w.task = w.Registry.Child("tasks", "mytask")
	w.put(repository+"#main:src", "main", events)
	w.url, w.secret = w.hook()
	return w
}

func (w *world) put(context, branch, events string) {
	w.t.Helper()
	w.ARMOK(w.Admin, "PUT", w.task.String(), `{"location":"eastus","properties":{"status":"Enabled","platform":{"os":"linux"},
		"step":{"type":"FileTask","taskFilePath":"acb.yaml","contextPath":"`+context+`"},"trigger":{"sourceTriggers":[{"name":"source",
		"status":"Enabled","sourceTriggerEvents":[`+events+`],"sourceRepository":{"sourceControlType":"Github","repositoryUrl":"`+context+`",
		"branch":"`+branch+`","sourceControlAuthProperties":{"tokenType":"PAT","token":"Git-Token-1","scope":"repo"}}}]}}}`)
}

// hook is what the action for the host's administrator shows.
func (w *world) hook() (url, secret string) {
	w.t.Helper()
	a := w.ARMOK(w.Admin, "POST", w.task.String()+"/listSourceHooks", "")
	one := a.At("value").([]any)[0].(map[string]any)
	return one["url"].(string), one["secret"].(string)
}

// gitea sends a delivery with the headers of a real one.
func (w *world) gitea(id, event, body, secret string) servertest.Answer {
	w.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	sum := hex.EncodeToString(mac.Sum(nil))
	return w.Do(servertest.Request{Method: "POST", URL: w.url, Body: body, Header: map[string]string{"Content-Type": "application/json",
		"X-Gitea-Event": event, "X-Gitea-Delivery": id, "X-Gitea-Signature": sum, "X-GitHub-Event": event, "X-Hub-Signature-256": "sha256=" + sum}})
}

func push(branch, commit, more string) string {
	return `{"ref":"refs/heads/` + branch + `","after":"` + commit + `","repository":{"clone_url":"http://localhost:3000/Team/app.git"},` +
		`"pusher":{"login":"anna"}` + more + `}`
}

func pull(action, commit string, head int) string {
	return fmt.Sprintf(`{"action":%q,"number":5,"repository":{"clone_url":%q},"sender":{"login":"ben"},"pull_request":{`+
		`"base":{"ref":"main","repo_id":1,"repo":{"id":1}},"head":{"ref":"x","sha":%q,"repo_id":%d,"repo":{"id":%[4]d}}}}`,
		action, repository, commit, head)
}

func (w *world) expect(what string, a servertest.Answer, status int, member, words string) {
	w.t.Helper()
	got, _ := a.At(member).(string)
	if status >= 400 {
		got, _ = a.At("error", "message").(string)
	}
	if a.Status != status || !strings.Contains(got, words) || got == "" {
		w.t.Errorf("%s: %d %s", what, a.Status, a.Body)
	}
}

func (w *world) runs() []run.Run {
	w.t.Helper()
	all, _, err := w.Runs.List(w.t.Context(), w.Registry, run.Filter{Task: "mytask"})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) log() []trigger.Entry {
	w.t.Helper()
	all, err := w.Triggers.LogOf(w.t.Context(), w.task, 0, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// A push to the branch makes one run of its commit, however often it is told.
func TestPush(t *testing.T) {
	w := newWorld(t, `"commit"`)
	w.expect("a push", w.gitea("d1", "push", push("main", first, ""), w.secret), 200, "runId", "")
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			w.expect("once more", w.gitea("d1", "push", push("main", first, ""), w.secret), 200, "reason", "seen before")
		})
	}
	all.Wait()
	runs := w.runs()
	if len(runs) != 1 {
		t.Fatalf("%d runs", len(runs))
	}
	cause := runs[0].Properties.SourceTrigger
	want := run.SourceChange{ID: "d1", EventType: "commit", CommitID: first, RepositoryURL: repository + "#main:src",
		BranchName: "main", ProviderType: "Gitea", Trigger: "source"}
	if cause == nil || *cause != want || runs[0].Properties.RunType != "AutoRun" {
		t.Errorf("%+v", runs[0].Properties)
	}
	w.expect("force push", w.gitea("d2", "push", push("main", second, `,"forced":true`), w.secret), 200, "runId", "")
	w.expect("back again", w.gitea("d3", "push", push("main", first, `,"created":1`), w.secret), 200, "runId", "")
	if n := len(w.runs()); n != 3 {
		t.Errorf("%d runs", n)
	}
}

// What is not to be built makes no run, and the log says why.
func TestNoRun(t *testing.T) {
	const zeros = "0000000000000000000000000000000000000000"
	w := newWorld(t, `"commit"`)
	for i, c := range []struct{ event, body, reason string }{
		{"push", push("dev", first, ""), "branch dev is not main"},
		{"push", push("main", zeros, ""), "branch main was deleted"},
		{"push", strings.Replace(push("v1", first, ""), "heads", "tags", 1), "tag v1 is not a branch"},
		{"push", strings.Replace(push("main", first, ""), "Team/app", "team/other", 1),
			"repository http://localhost:3000/team/other.git is not " + repository},
		{"pull_request", pull("opened", first, 1), "the trigger does not have the event pullrequest"},
		{"issues", `{}`, `event "issues" is none of a push or a pull request`},
	} {
		w.expect(c.reason, w.gitea(fmt.Sprint("d", i), c.event, c.body, w.secret), 200, "reason", c.reason)
		if e := w.log()[0]; e.Reason != c.reason || e.Kind != trigger.BySource || e.Trigger != "source" || e.Run != "" {
			t.Errorf("%+v", e)
		}
	}
	disable := `{"properties":{"trigger":{"sourceTriggers":[{"name":"source","status":"Disabled"}]}}}`
	w.ARMOK(w.Admin, "PATCH", w.task.String(), disable)
	w.expect("disabled", w.gitea("x1", "push", push("main", first, ""), w.secret), 200, "reason", "the trigger is disabled")
	w.ARMOK(w.Admin, "PATCH", w.task.String(), `{"properties":{"status":"Disabled"}}`)
	w.expect("disabled", w.gitea("x2", "push", push("main", second, ""), w.secret), 200, "reason", "the task is disabled")
	if n := len(w.runs()); n != 0 {
		t.Errorf("%d runs", n)
	}
}

// A pull request is built when its commits change, not when people write to it.
func TestPullRequest(t *testing.T) {
	w := newWorld(t, `"pullrequest"`)
	w.expect("opened", w.gitea("d1", "pull_request", pull("opened", first, 1), w.secret), 200, "runId", "")
	cause := w.runs()[0].Properties.SourceTrigger
	if cause.PullRequestID != "5" || cause.EventType != "pullrequest" || cause.CommitID != first || cause.BranchName != "main" {
		t.Errorf("%+v", cause)
	}
	w.expect("edited", w.gitea("d2", "pull_request", pull("edited", first, 1), w.secret), 200, "reason", "was edited")
	w.expect("told as an update", w.gitea("d3", "pull_request", pull("synchronized", first, 1), w.secret), 200, "reason", "made its run already")
	w.expect("a commit", w.gitea("d4", "pull_request", pull("synchronized", second, 1), w.secret), 200, "runId", "")
	w.expect("reopened", w.gitea("d5", "pull_request", pull("reopened", second, 1), w.secret), 200, "runId", "")
	w.expect("a fork", w.gitea("d6", "pull_request", pull("opened", second, 2), w.secret), 200, "reason", "comes from a fork")
	w.expect("a push", w.gitea("d7", "push", push("main", second, ""), w.secret), 200, "reason", "does not have the event commit")
	if n := len(w.runs()); n != 3 {
		t.Errorf("%d runs", n)
	}
}

// Who does not know the secret starts nothing, and fills no log.
func TestForged(t *testing.T) {
	w := newWorld(t, `"commit"`)
	good := push("main", first, "")
	for i := range 5 {
		w.expect("another secret", w.gitea(fmt.Sprint("f", i), "push", good, "guess"), 401, "", "not that of the trigger")
	}
	w.expect("the true one", w.gitea("d1", "push", good, w.secret), 200, "runId", "")
	w.expect("replayed", w.gitea("d2", "push", good, w.secret), 401, "", "under another ID")
	if log := w.log(); len(log) != 2 || len(w.runs()) != 1 {
		t.Errorf("%+v", log)
	}
	unsigned := w.Do(servertest.Request{Method: "POST", URL: w.url, Body: good, Header: map[string]string{"X-GitHub-Event": "push"}})
	w.expect("no signature", unsigned, 401, "", "not that of the trigger")
	w.expect("no header", w.Do(servertest.Request{Method: "POST", URL: w.url, Body: good}), 401, "", "not that of the trigger")
	w.expect("another address", w.Do(servertest.Request{Method: "POST", URL: w.URL("hooks") + "/v1/A", Body: good}), 404, "", "No source trigger")
	w.expect("no address", w.Do(servertest.Request{Method: "POST", URL: w.URL("hooks") + "/", Body: good}), 404, "", "No source trigger")
	w.expect("GET", w.Do(servertest.Request{Method: "GET", URL: w.url}), 405, "", "POST")
	w.expect("no JSON", w.gitea("d9", "push", "{", w.secret), 400, "", "not as the host's deliveries")
}

// endless is a body without an end, which counts what was taken of it.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read += int64(len(p))
	return len(p), nil
}

// A body that is too large is refused after the bound, whether its length is told or not.
func TestLarge(t *testing.T) {
	w := newWorld(t, `"commit"`)
	for name, length := range map[string]int64{"told": 100 << 20, "not told": -1} {
		body := &endless{}
		req := httptest.NewRequestWithContext(t.Context(), "POST", w.url, io.LimitReader(body, 100<<20))
		req.ContentLength = length
		answer := httptest.NewRecorder()
		w.Router.ServeHTTP(answer, req)
		if answer.Code != 413 || body.read > 2*hooksapi.MaxBody {
			t.Errorf("%s: %d %s after %d bytes", name, answer.Code, answer.Body, body.read)
		}
	}
}

// Large bodies that do not come hold up no others.
func TestSlow(t *testing.T) {
	w := newWorld(t, `"commit"`)
	for range 20 {
		r, never := io.Pipe()
		t.Cleanup(func() { never.CloseWithError(io.ErrUnexpectedEOF) })
		req, err := http.NewRequestWithContext(t.Context(), "POST", w.url, r)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if res, err := w.Client.Do(req); err == nil {
				res.Body.Close()
			}
		}()
		if _, err := never.Write([]byte("{")); err != nil { // it is being sent
			t.Fatal(err)
		}
	}
	w.expect("a push", w.gitea("d1", "push", push("main", first, ""), w.secret), 200, "runId", "")
}

// The address and the secret last as long as the trigger and its repository; nobody sees tokens
// or secrets who may only read.
func TestSecrets(t *testing.T) {
	w := newWorld(t, `"commit"`)
	shown := w.ARMOK(w.Admin, "GET", w.task.String(), "")
	if strings.Contains(shown.Body, "Git-Token-1") || strings.Contains(shown.Body, w.secret) || strings.Contains(shown.Body, w.url) {
		t.Error(shown.Body)
	}
	if a := w.ARMOK(w.Admin, "POST", w.task.String()+"/listDetails", ""); !strings.Contains(a.Body, "Git-Token-1") || strings.Contains(a.Body, w.secret) {
		t.Error(a.Body)
	}
	reader := w.Person("reader", "Reader", w.Registry)
	if a := w.ARM(reader, "POST", w.task.String()+"/listSourceHooks", ""); a.Status != 403 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	w.put(repository+"#dev", "dev", `"commit"`)
	if url, secret := w.hook(); url != w.url || secret != w.secret {
		t.Error("another branch has another hook")
	}
	w.expect("a push", w.gitea("d1", "push", push("dev", first, ""), w.secret), 200, "runId", "")
	w.put("https://git.example.com/team/next.git", "main", `"commit"`)
	if url, secret := w.hook(); url != w.url || secret == w.secret {
		t.Error("another repository has the old secret")
	}
	w.ARMOK(w.Admin, "DELETE", w.task.String(), "")
	w.expect("a task that is gone", w.gitea("d2", "push", push("dev", first, ""), w.secret), 404, "", "No source trigger")
}

// What could not be watched is refused with its name.
func TestRefused(t *testing.T) {
	w := newWorld(t, `"commit"`)
	for change, words := range map[string]string{
		`"sourceTriggerEvents":["tag"]`: "'tag' is neither commit nor pullrequest",
		`"sourceTriggerEvents":[]`:      "has no events",
		`"status":"on"`:                 "neither Enabled nor Disabled",
		`"sourceRepository":{"repositoryUrl":"https://elsewhere.example/a/b"}`:                      "no commit of the one is in the other",
		`"sourceRepository":{"repositoryUrl":"git@git.example.com:team/app.git"}`:                   "not the https URL",
		`"sourceRepository":{"repositoryUrl":"https://u:p@git.example.com/team/app.git"}`:           "goes into its token",
		`"sourceRepository":{"sourceControlAuthProperties":{"tokenType":"OAuth"}}`:                  "not available",
		`"sourceRepository":{"sourceControlAuthProperties":{"refreshToken":"x","tokenType":"PAT"}}`: "refreshToken",
		`"allowForks":true`: "allowForks",
	} {
		a := w.ARM(w.Admin, "PATCH", w.task.String(), `{"properties":{"trigger":{"sourceTriggers":[{"name":"source",`+change+`}]}}}`)
		if a.Status < 400 || !strings.Contains(a.Body, words) {
			t.Errorf("%s: %d %s", change, a.Status, a.Body)
		}
	}
}

// Deliveries are forgotten when their entries are.
func TestSweep(t *testing.T) {
	w := newWorld(t, `"commit"`)
	w.expect("a push", w.gitea("d1", "push", push("main", first, ""), w.secret), 200, "runId", "")
	if err := w.Triggers.Sweep(t.Context(), time.Now().Add(trigger.Keep+time.Minute)); err != nil {
		t.Fatal(err)
	}
	n, err := w.Triggers.Store.PruneDeliveries(t.Context(), time.Now().Add(time.Hour), 10)
	if err != nil || n != 0 || len(w.log()) != 0 {
		t.Errorf("%d deliveries, %d entries, %v", n, len(w.log()), err)
	}
}

// On PostgreSQL all of it is the same.
func TestOnPostgreSQL(t *testing.T) { sqlstoretest.Again(t) }

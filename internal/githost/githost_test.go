package githost_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/githost"
)

const secret = "4711-for-tests"

func signature(body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// data is a body that the parsing library keeps for its own tests: what the hosts have published.
func data(t *testing.T, name string) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-playground/webhooks/v6").Output()
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// headers are those with which a host sends an event, with its proof.
func headers(host, event, body string) http.Header {
	sum := signature(body)
	switch host {
	case "gitea": // as a real one sends them: those of three hosts
		return header("X-Gitea-Event", event, "X-Gitea-Delivery", "d1", "X-Gitea-Signature", sum,
			"X-Gogs-Event", event, "X-GitHub-Event", event, "X-Hub-Signature-256", "sha256="+sum)
	case "github":
		return header("X-GitHub-Event", event, "X-GitHub-Delivery", "d1", "X-Hub-Signature-256", "sha256="+sum)
	case "gitlab":
		return header("X-Gitlab-Event", event, "X-Gitlab-Event-UUID", "d1", "X-Gitlab-Token", secret)
	case "bitbucket":
		return header("X-Event-Key", event, "X-Hook-UUID", "h", "X-Request-UUID", "d1", "X-Hub-Signature", "sha256="+sum)
	case "bitbucket-server":
		return header("X-Event-Key", event, "X-Request-Id", "d1", "X-Hub-Signature", "sha256="+sum)
	case "azuredevops":
		h := http.Header{}
		r := http.Request{Header: h}
		r.SetBasicAuth("acrux", secret)
		return h
	}
	return header(githost.SignatureHeader, "sha256="+sum)
}

// What the hosts publish is read to the same type.
func TestHosts(t *testing.T) {
	for _, c := range []struct {
		host, event, file string
		repository        string
		change            githost.Change
	}{
		{"gitea", "push", "push-event.json", "http://localhost:3000/example/example.git",
			githost.Change{Kind: githost.Push, Branch: "master", Commit: "67b56589a45103f891bdee7c0546e5d40bc02001"}},
		{"gitea", "pull_request", "pull-request-event.json", "http://localhost:3000/example/example.git",
			githost.Change{Kind: githost.PullRequest, Branch: "master", Commit: "48e773f892a831faa47c0a160d1b7f0cd369ae2a", Number: 2, Fork: true}},
		{"github", "push", "push.json", "https://github.com/binkkatal/sample_app.git",
			githost.Change{Kind: githost.Push, Branch: "master", Commit: "fd489864e7642b48eaad6e3f155c10e46810ec72"}},
		{"github", "pull_request", "pull-request.json", "https://github.com/baxterthehacker/public-repo.git",
			githost.Change{Kind: githost.PullRequest, Branch: "master", Commit: "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c", Number: 1}},
		{"gitlab", "Push Hook", "push-event.json", "http://example.com/mike/diaspora.git",
			githost.Change{Kind: githost.Push, Branch: "master", Commit: "da1560886d4f094c3e6c9ef40349f7d38b5d27d7"}},
		{"gitlab", "Tag Push Hook", "tag-event.json", "", githost.Change{Note: "tag v1.0.0 is not a branch"}},
		{"gitlab", "Merge Request Hook", "merge-request-event.json", "",
			githost.Change{Kind: githost.PullRequest, Branch: "master", Commit: "da1560886d4f094c3e6c9ef40349f7d38b5d27d7", Number: 1}},
		{"bitbucket", "repo:push", "repo-push.json", "", githost.Change{Kind: githost.Push}},
		{"bitbucket", "pullrequest:created", "pull-request-created.json", "", githost.Change{Kind: githost.PullRequest}},
		{"bitbucket-server", "repo:refs_changed", "repo-refs-changed.json", "", githost.Change{Branch: "feature/wip", Note: "branch feature/wip was deleted"}},
		{"bitbucket-server", "pr:opened", "pr-opened.json", "", githost.Change{Kind: githost.PullRequest}},
		{"azuredevops", "", "git.push.json", "https://dev.azure.com/fabrikam-fiber-inc/DefaultCollection/_git/Fabrikam-Fiber-Git",
			githost.Change{Kind: githost.Push, Branch: "main", Commit: "33b55f7cb7e7e245323987634f960cf4a6e6bc74"}},
		{"azuredevops", "", "git.pullrequest.created.json", "",
			githost.Change{Kind: githost.PullRequest, Branch: "master", Commit: "53d54ac915144006c2c9e90d2c7d3880920db49c", Number: 1}},
		{"azuredevops", "", "git.pullrequest.merged.json", "", githost.Change{}},
		{"github", "ping", "ping.json", "", githost.Change{Note: "ping: deliveries arrive"}},
		{"github", "release", "release.json", "", githost.Change{Note: `event "release" is none of a push or a pull request`}},
	} {
		t.Run(c.host+" "+c.file, func(t *testing.T) {
			body := data(t, c.host+"/"+c.file)
			h := headers(c.host, c.event, body)
			d, err := githost.Read(h, []byte(body), secret)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", d)
			if c.repository != "" && d.Repository != c.repository || d.ID == "" || d.Digest == "" {
				t.Errorf("%+v", d)
			}
			got := d.Changes[0]
			if c.change.Commit == "" && c.change.Note == "" { // the kind is what the host has published; the rest varies
				if got.Kind != c.change.Kind || got.Kind != githost.Nothing && (got.Branch == "" || got.Commit == "") {
					t.Errorf("%+v", got)
				}
			} else if got != c.change {
				t.Errorf("%+v, want %+v", got, c.change)
			}
			for name, wrong := range map[string]func() (http.Header, []byte, string){
				"another secret": func() (http.Header, []byte, string) { return h, []byte(body), "other" },
				"no secret":      func() (http.Header, []byte, string) { return h, []byte(body), "" },
				"no header":      func() (http.Header, []byte, string) { return http.Header{}, []byte(body), secret },
			} {
				head, content, key := wrong()
				if _, err := githost.Read(head, content, key); !errors.Is(err, githost.ErrForged) {
					t.Errorf("%s: %v", name, err)
				}
			}
			_, err = githost.Read(h, []byte(body+" "), secret)
			signed := c.host != "gitlab" && c.host != "azuredevops"
			if signed != errors.Is(err, githost.ErrForged) {
				t.Errorf("another body: %v", err)
			}
		})
	}
}

// What real ones do that their schemas do not tell.
func TestTraps(t *testing.T) {
	const zeros = "0000000000000000000000000000000000000000"
	const commit = "67b56589a45103f891bdee7c0546e5d40bc02001"
	pull := func(action string, head int) string {
		return `{"action":"` + action + `","number":5,"repository":{"clone_url":"https://h/a/b"},"sender":{"login":"s"},"pull_request":{` +
			`"base":{"ref":"main","repo_id":1,"repo":{"id":1}},"head":{"ref":"x","sha":"` + commit + `","repo_id":` + string(rune('0'+head)) +
			`,"repo":{"id":` + string(rune('0'+head)) + `}}}}`
	}
	of := githost.Change{Kind: githost.PullRequest, Branch: "main", Commit: commit, Number: 5}
	again, fork := of, of
	again.Again, fork.Fork = true, true
	for name, c := range map[string]struct {
		host, event, body string
		want              githost.Change
	}{
		"deleted branch": {"github", "push", `{"ref":"refs/heads/x","after":"` + zeros + `","deleted":true}`,
			githost.Change{Branch: "x", Note: "branch x was deleted"}},
		"deleted branch, Gitea": {"gitea", "delete", `{"ref":"x","ref_type":"branch"}`, githost.Change{Note: "branch x was deleted"}},
		"annotated tag": {"gitea", "push", `{"ref":"refs/tags/v1","after":"` + commit + `","repository":{},"pusher":{}}`,
			githost.Change{Note: "tag v1 is not a branch"}},
		"synchronize":  {"github", "pull_request", pull("synchronize", 1), of},
		"synchronized": {"gitea", "pull_request", pull("synchronized", 1), of},
		"reopened":     {"gitea", "pull_request", pull("reopened", 1), again},
		"fork":         {"gitea", "pull_request", pull("opened", 2), fork},
		"fork, GitHub": {"github", "pull_request", pull("opened", 2), fork},
		"edited": {"gitea", "pull_request", pull("edited", 1),
			githost.Change{Note: "pull request 5 was edited: that changes no commit"}},
		"own form": {"", "", `{"id":"7","branch":"main","commit":"` + commit + `"}`,
			githost.Change{Kind: githost.Push, Branch: "main", Commit: commit}},
	} {
		d, err := githost.Read(headers(c.host, c.event, c.body), []byte(c.body), secret)
		if err != nil || d.Changes[0] != c.want {
			t.Errorf("%s: %+v %v", name, d.Changes, err)
		}
	}
	for name, body := range map[string]string{"no JSON": `{`, "a commit that is an option": `{"id":"1","branch":"b","commit":"--upload-pack=x"}`,
		"no ID": `{"branch":"main","commit":"` + commit + `"}`} {
		if _, err := githost.Read(headers("", "", body), []byte(body), secret); !errors.Is(err, githost.ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, body := range []string{`{"ref":"refs/heads/x","after":"--option"}`, `[]`, `{"ref":5}`} {
		if _, err := githost.Read(headers("github", "push", body), []byte(body), secret); !errors.Is(err, githost.ErrUnreadable) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// Nothing that anybody sends ends the process.
func FuzzRead(f *testing.F) {
	hosts := []string{"gitea", "github", "gitlab", "bitbucket", "bitbucket-server", "azuredevops", ""}
	f.Add(uint8(0), "push", `{"ref":"refs/heads/x","after":"67b56589a45103f8","repository":{},"pusher":{}}`)
	f.Add(uint8(0), "pull_request", `{"pull_request":{"base":{},"head":{}},"repository":{},"sender":{}}`)
	f.Add(uint8(3), "repo:push", `{"push":{"changes":[{}]}}`)
	f.Add(uint8(5), "", `{"eventType":"git.push","resource":{"refUpdates":[{}]}}`)
	f.Fuzz(func(t *testing.T, host uint8, event, body string) {
		d, err := githost.Read(headers(hosts[int(host)%len(hosts)], event, body), []byte(body), secret)
		if err == nil && (len(d.Changes) == 0 || d.Digest == "") {
			t.Errorf("%+v", d)
		}
	})
}

package armapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	upstream "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/jobs"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/mirror"
	"github.com/acrux/acrux/internal/server/servertest"
)

// elsewhere is a registry on loopback with an image and an index; who asks for
// private ones must sign in.
func elsewhere(t *testing.T) (host string) {
	t.Helper()
	var locked atomic.Bool // once everything is in place
	contents := upstream.New(upstream.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if locked.Load() && strings.Contains(r.URL.Path, "/private/") && (user != "me" || password != "hush") {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		contents.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host = server.Listener.Addr().String()
	image, err := random.Image(20_000, 2)
	must(t, err)
	index, err := random.Index(5_000, 2, 2)
	must(t, err)
	for _, text := range []string{"base:v1", "private/base:v1"} {
		ref, err := name.ParseReference(host + "/" + text)
		must(t, err)
		must(t, remote.Write(ref, image))
	}
	ref, err := name.ParseReference(host + "/multi:v1")
	must(t, err)
	must(t, remote.WriteIndex(ref, index))
	locked.Store(true)
	return host
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// working is a world whose imports are worked on.
func working(t *testing.T) *servertest.World {
	t.Helper()
	w := servertest.New(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Queue.Run(ctx) }()
	t.Cleanup(func() { cancel(); must(t, <-done) })
	return w
}

// finish follows an import as clients do, and returns the last answers under Location
// and Azure-AsyncOperation.
func finish(t *testing.T, w *servertest.World, a servertest.Answer) (result, status servertest.Answer) {
	t.Helper()
	if a.Status != http.StatusAccepted || a.Header.Get("Retry-After") != "1" || a.Body != "" {
		t.Fatalf("the import is answered %d %v %s", a.Status, a.Header, a.Body)
	}
	at := strings.TrimPrefix(a.Header.Get("Location"), w.URL("management"))
	for {
		result = w.ARM(w.Admin, http.MethodGet, at, "")
		if result.Status != http.StatusAccepted {
			break
		}
		if result.Header.Get("Retry-After") != "1" {
			t.Fatalf("a poll is answered %v", result.Header)
		}
	}
	return result, w.ARM(w.Admin, http.MethodGet, strings.TrimPrefix(a.Header.Get("Azure-Asyncoperation"), w.URL("management")), "")
}

func importBody(source string, more string) string {
	return `{"source":{` + source + `}` + more + `}`
}

// idle is a world whose imports wait until work is called, which does them all.
func idle(t *testing.T) (w *servertest.World, work func()) {
	t.Helper()
	w = servertest.New(t)
	return w, func() {
		t.Helper()
		open, err := w.Imports.Store.OpenOperations(t.Context())
		must(t, err)
		for _, op := range open {
			must(t, w.Imports.Work(t.Context(), jobs.Job{Subject: op.ID, Last: true}))
		}
	}
}

// outcome is how an accepted import ended: a code, or nothing.
func outcome(t *testing.T, w *servertest.World, accepted servertest.Answer) string {
	t.Helper()
	_, status := finish(t, w, accepted)
	code, _ := status.At("error", "code").(string)
	return code
}

// Whether a tag is there and what is locked is decided when the import is done, not
// when it was asked for; what was done before a crash is no obstacle.
func TestImportDecidesAtTheEnd(t *testing.T) {
	w, work := idle(t)
	host := elsewhere(t)
	path := w.Registry.String() + "/importImage"
	ask := func(image, more string) servertest.Answer {
		return w.ARM(w.Admin, http.MethodPost, path, importBody(`"registryUri":"`+host+`","sourceImage":"`+image+`"`, more))
	}
	one, two := ask("base:v1", `,"targetTags":["mine:v1"]`), ask("multi:v1", `,"targetTags":["mine:v1"]`)
	open, err := w.Imports.Store.OpenOperations(t.Context())
	must(t, err)
	work()
	if codes := []string{outcome(t, w, one), outcome(t, w, two)}; !(codes[0] == "" && codes[1] == "Conflict" || codes[0] == "Conflict" && codes[1] == "") {
		t.Errorf("two imports of one tag ended %q", codes)
	}
	for i, a := range []servertest.Answer{one, two} { // as after a crash before the end was recorded
		before := outcome(t, w, a)
		must(t, w.Imports.Store.SetOperation(t.Context(), open[i]))
		work()
		if after := outcome(t, w, a); after != before {
			t.Errorf("an import that ended %q ends %q when it is done again", before, after)
		}
	}
	byForce := ask("multi:v1", `,"targetTags":["mine:v1"],"mode":"force"`)
	mine := registry.Name{Registry: "myregistry", Repository: "mine"}
	must(t, w.Content.SetAttributes(t.Context(), mine, "v1", 0, registry.WriteEnabled))
	work()
	if code := outcome(t, w, byForce); code != "REGISTRY_DISALLOWED_OPERATION" {
		t.Errorf("an import onto a locked tag ended %q", code)
	}
	must(t, w.Content.SetAttributes(t.Context(), mine, "", 0, registry.WriteEnabled))
	for _, body := range []string{`,"targetTags":["mine:v1"],"mode":"Force"`, `,"targetTags":["mine:new"]`, `,"untaggedTargetRepositories":["mine"]`} {
		if a := ask("base:v1", body); a.Status != http.StatusConflict || a.At("error", "code") != "REGISTRY_DISALLOWED_OPERATION" || !strings.Contains(a.Body, "az acr repository update --name myregistry --repository mine --write-enabled true") {
			t.Errorf("%s into a locked repository: %d %s", body, a.Status, a.Body)
		}
	}
}

// Within the installation the same rules hold, in the transaction of the import.
func TestImportWithinObeys(t *testing.T) {
	w, work := idle(t)
	host := elsewhere(t)
	source := w.NewRegistry("SourceReg")
	accepted := w.ARM(w.Admin, http.MethodPost, source.String()+"/importImage", importBody(`"registryUri":"`+host+`","sourceImage":"multi:v1"`, ""))
	work()
	if code := outcome(t, w, accepted); code != "" {
		t.Fatal(code)
	}
	from := registry.Name{Registry: "sourcereg", Repository: "multi"}
	top, err := w.Content.Manifest(t.Context(), from, "v1")
	must(t, err)
	ask := func(image, more string) servertest.Answer {
		return w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/importImage", importBody(`"resourceId":"`+source.String()+`","sourceImage":"`+image+`"`, more))
	}
	for _, step := range []struct {
		image, more string
		status      int
		code        any
	}{
		{"multi:v1", `,"targetTags":["mine:v1"]`, 200, nil},
		{"multi:v1", `,"targetTags":["mine:v2","mine:v1"]`, 409, "Conflict"}, // all or nothing
		{"multi:v1", `,"targetTags":["mine:v1"],"mode":"NoForce"`, 409, "Conflict"},
		{"multi:v1", `,"targetTags":["mine:v1"],"mode":"Force"`, 200, nil},
		{"multi:v1", `,"targetTags":["mine:v9"],"mode":"Perhaps"`, 400, "InvalidParameterValue"},
		{"multi:v1", `,"untaggedTargetRepositories":["untagged/a","untagged/b"]`, 200, nil},
		{"multi@" + top.Digest.String(), ``, 200, nil},
		{"multi@" + top.Digest.String(), `,"targetTags":["mine:bydigest"]`, 200, nil},
		{"multi@" + digest.FromString("none").String(), ``, 404, "ImageNotFound"},
		{"multi:none", ``, 404, "ImageNotFound"},
		{"multi:v1", `,"targetTags":["mine@` + top.Digest.String() + `"]`, 400, "InvalidParameterValue"},
		{"multi:v1", `,"targetTags":["Mine:v1"]`, 400, "InvalidParameterValue"},
		{"multi:v1", `,"untaggedTargetRepositories":["../mine"]`, 400, "InvalidParameterValue"},
	} {
		if a := ask(step.image, step.more); a.Status != step.status || a.At("error", "code") != step.code {
			t.Errorf("%s %s: %d %s", step.image, step.more, a.Status, a.Body)
		}
	}
	for _, at := range []struct{ repository, tags string }{{"mine", "bydigest v1"}, {"untagged/a", ""}, {"untagged/b", ""}, {"multi", ""}} {
		whole(t, w, registry.Name{Registry: "myregistry", Repository: at.repository}, top, at.tags)
	}
	must(t, w.Content.SetAttributes(t.Context(), registry.Name{Registry: "myregistry", Repository: "mine"}, "v1", 0, registry.WriteEnabled))
	if a := ask("multi:v1", `,"targetTags":["mine:v1"],"mode":"Force"`); a.Status != 409 || a.At("error", "code") != "REGISTRY_DISALLOWED_OPERATION" {
		t.Errorf("onto a locked tag: %d %s", a.Status, a.Body)
	}
	must(t, w.Content.SetAttributes(t.Context(), from, "v1", 0, registry.ReadEnabled))
	if a := ask("multi:v1", `,"targetTags":["other:v1"]`); a.Status != 409 || !strings.Contains(a.Body, "--image multi:v1 --read-enabled true") {
		t.Errorf("from a locked tag: %d %s", a.Status, a.Body)
	}
	a := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/importImage", importBody(`"resourceId":"`+source.String()+`","sourceImage":"multi:v1","credentials":{"password":"x"}`, ""))
	if a.Status != 400 {
		t.Errorf("credentials beside a resource ID: %d %s", a.Status, a.Body)
	}
}

// whole fails the test unless the repository has the index with all that belongs to
// it, under exactly the tags.
func whole(t *testing.T, w *servertest.World, at registry.Name, top registry.Manifest, tags string) {
	t.Helper()
	var index v1.IndexManifest
	must(t, json.Unmarshal(top.Body, &index))
	if _, err := w.Content.Manifest(t.Context(), at, top.Digest.String()); err != nil {
		t.Error(at, err)
	}
	for _, child := range index.Manifests {
		m, err := w.Content.Manifest(t.Context(), at, child.Digest.String())
		if err != nil {
			t.Error(at, err)
			continue
		}
		var image v1.Manifest
		must(t, json.Unmarshal(m.Body, &image))
		for _, part := range append(image.Layers, image.Config) {
			if _, err := w.Content.Blob(t.Context(), at, digest.Digest(part.Digest.String())); err != nil {
				t.Error(at, err)
			}
		}
	}
	all, err := w.Content.Tags(t.Context(), at, registry.TagQuery{})
	must(t, err)
	var names []string
	for _, tag := range all {
		names = append(names, tag.Name)
	}
	if len(index.Manifests) < 2 || strings.Join(names, " ") != tags {
		t.Errorf("%v has the tags %q, want %q", at, names, tags)
	}
}

// A password alone is a token: of the directory, for a registry that exchanges it, or
// the registry's own.
func TestImportWithToken(t *testing.T) {
	w := working(t)
	var locked atomic.Bool
	contents := upstream.New(upstream.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/oauth2/exchange" && r.FormValue("access_token") == "of-the-directory" && r.FormValue("grant_type") == "access_token" && r.FormValue("service") == r.Host:
			_, _ = io.WriteString(rw, `{"refresh_token":"of-the-registry"}`)
		case r.URL.Path == "/oauth2/exchange" && r.FormValue("access_token") == "sends-away":
			http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
		case r.URL.Path == "/oauth2/exchange":
			rw.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/elsewhere":
			t.Error("the token was sent elsewhere")
		case locked.Load() && (user != "00000000-0000-0000-0000-000000000000" || password != "of-the-registry"):
			rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			rw.WriteHeader(http.StatusUnauthorized)
		default:
			contents.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	host := server.Listener.Addr().String()
	image, err := random.Image(1000, 1)
	must(t, err)
	ref, err := name.ParseReference(host + "/base:v1")
	must(t, err)
	must(t, remote.Write(ref, image))
	locked.Store(true)
	for password, code := range map[string]string{"of-the-directory": "", "of-the-registry": "", "of-nobody": "SourceDenied", "sends-away": "SourceDenied"} {
		a := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/importImage", importBody(`"registryUri":"`+host+`","sourceImage":"base:v1","credentials":{"password":"`+password+`"}`, `,"mode":"Force"`))
		if got := outcome(t, w, a); got != code {
			t.Errorf("%s: %q", password, got)
		}
		notInFiles(t, w.Dir, password)
	}
	if a := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/importImage", importBody(`"registryUri":"`+host+`","sourceImage":"base:v1","credentials":{"username":"me"}`, "")); a.Status != 400 {
		t.Errorf("no password: %d %s", a.Status, a.Body)
	}
}

// notInFiles fails the test if a file below dir has the text.
func notInFiles(t *testing.T, dir, text string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("%s has %s", path, text)
		}
		return err
	}))
}

func TestImport(t *testing.T) {
	w := working(t)
	host := elsewhere(t)
	path := w.Registry.String() + "/importImage"
	from := `"registryUri":"` + host + `","sourceImage":`
	result, status := finish(t, w, w.ARM(w.Admin, http.MethodPost, path, importBody(from+`"base:v1"`, `,"targetTags":["mine:v1","mine:v2","yours:x"],"mode":"NoForce"`)))
	if result.Status != http.StatusOK || status.At("status") != "Succeeded" || status.At("endTime") == nil {
		t.Fatalf("%d %s, %s", result.Status, result.Body, status.Body)
	}
	for repository, tag := range map[string]string{"mine": "v2", "yours": "x"} {
		if _, err := w.Content.Manifest(t.Context(), registry.Name{Registry: "myregistry", Repository: repository}, tag); err != nil {
			t.Error(err)
		}
	}
	result, _ = finish(t, w, w.ARM(w.Admin, http.MethodPost, path, importBody(from+`"multi:v1"`, "")))
	if result.Status != http.StatusOK {
		t.Errorf("an index: %d %s", result.Status, result.Body)
	}
	if a := w.ARM(w.Admin, http.MethodPost, path, importBody(from+`"base:v1"`, `,"targetTags":["mine:v1"]`)); a.Status != http.StatusConflict || a.At("error", "code") != "Conflict" {
		t.Errorf("a tag that is there: %d %s", a.Status, a.Body)
	}
	result, _ = finish(t, w, w.ARM(w.Admin, http.MethodPost, path, importBody(from+`"base:v1"`, `,"targetTags":["mine:v1"],"mode":"Force"`)))
	if result.Status != http.StatusOK {
		t.Errorf("by force: %d %s", result.Status, result.Body)
	}
	result, _ = finish(t, w, w.ARM(w.Admin, http.MethodPost, path, importBody(from+`"private/base:v1","credentials":{"username":"me","password":"hush"}`, "")))
	if result.Status != http.StatusOK {
		t.Errorf("with a password: %d %s", result.Status, result.Body)
	}
}

// What goes wrong elsewhere is told, with a code and without the password.
func TestImportFails(t *testing.T) {
	w := working(t)
	host := elsewhere(t)
	path := w.Registry.String() + "/importImage"
	for _, test := range []struct{ name, source, code string }{
		{"an image missing", `"registryUri":"` + host + `","sourceImage":"nobody:v1"`, "ImageNotFound"},
		{"no password", `"registryUri":"` + host + `","sourceImage":"private/base:v1"`, "SourceDenied"},
		{"a wrong password", `"registryUri":"` + host + `","sourceImage":"private/base:v1","credentials":{"username":"me","password":"wrong-hush"}`, "SourceDenied"},
		{"the metadata of a cloud", `"registryUri":"169.254.169.254","sourceImage":"base:v1"`, "AddressNotAllowed"},
		{"nobody there", `"registryUri":"127.0.0.1:1","sourceImage":"base:v1"`, "SourceUnreachable"},
	} {
		result, status := finish(t, w, w.ARM(w.Admin, http.MethodPost, path, importBody(test.source, "")))
		if result.Status < 400 || result.Status >= 500 || result.At("error", "code") != test.code || status.At("status") != "Failed" || status.At("error", "code") != test.code {
			t.Errorf("%s: %d %s, %s", test.name, result.Status, result.Body, status.Body)
		}
		if strings.Contains(result.Body+status.Body, "wrong-hush") {
			t.Errorf("%s: the password is shown", test.name)
		}
	}
	names, err := w.Content.Repositories(t.Context(), "myregistry", registry.Page{})
	if err != nil || len(names) != 0 {
		t.Errorf("failed imports left %v, %v", names, err)
	}
}

// What goes wrong here is tried again, and told when it was the last time; what is the
// source's or the asker's fault is over at once.
func TestImportTriesAgain(t *testing.T) {
	w, _ := idle(t)
	host := elsewhere(t)
	ask := func(host, image string) string {
		a := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/importImage", importBody(`"registryUri":"`+host+`","sourceImage":"`+image+`"`, ""))
		_, rest, _ := strings.Cut(a.Header.Get("Location"), "/operations/")
		id, _, _ := strings.Cut(rest, "?")
		return id
	}
	damaged := func() string {
		id := ask(host, "base:v1")
		op, err := w.Imports.Store.Operation(t.Context(), id)
		must(t, err)
		op.Request = []byte("sealed by nobody")
		must(t, w.Imports.Store.SetOperation(t.Context(), op))
		return id
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name      string
		ctx       context.Context
		operation string
		last      bool
		again     bool
		status    mirror.Status
	}{
		{"an order that cannot be opened", t.Context(), damaged(), false, true, mirror.InProgress},
		{"the same for the last time", t.Context(), damaged(), true, true, mirror.Failed},
		{"nobody there", t.Context(), ask("127.0.0.1:1", "base:v1"), false, false, mirror.Failed},
		{"an image missing", t.Context(), ask(host, "nobody:v1"), false, false, mirror.Failed},
		{"the server ends", gone, ask(host, "base:v1"), true, true, mirror.InProgress},
		{"all well", t.Context(), ask(host, "base:v1"), false, false, mirror.Succeeded},
		{"no such operation", t.Context(), "00000000-0000-4000-8000-000000000000", false, false, ""},
	} {
		err := w.Imports.Work(test.ctx, jobs.Job{Subject: test.operation, Last: test.last})
		op, _ := w.Imports.Store.Operation(t.Context(), test.operation) // one is not there
		if (err != nil) != test.again || op.Status != test.status || (op.Request == nil) == (test.status == mirror.InProgress) {
			t.Errorf("%s: %v, and the operation is %s with %d bytes of a request", test.name, err, op.Status, len(op.Request))
		}
	}
}

// Within the installation an import is done when the call answers, by whatever name
// the source is called.
func TestImportWithin(t *testing.T) {
	w := working(t)
	host := elsewhere(t)
	source := w.NewRegistry("SourceReg")
	finish(t, w, w.ARM(w.Admin, http.MethodPost, source.String()+"/importImage", importBody(`"registryUri":"`+host+`","sourceImage":"base:v1"`, "")))
	for i, from := range []string{`"resourceId":"` + strings.ToLower(source.String()) + `"`, `"registryUri":"` + w.LoginServer("SourceReg") + `"`, `"registryUri":"https://sourcereg.azurecr.io/"`} {
		tag := "mine:t" + string(rune('0'+i))
		a := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/importImage", importBody(from+`,"sourceImage":"base:v1"`, `,"targetTags":["`+tag+`"]`))
		if a.Status != http.StatusOK || a.Body != "" {
			t.Errorf("%s: %d %s", from, a.Status, a.Body)
		}
		if _, err := w.Content.Tag(t.Context(), registry.Name{Registry: "myregistry", Repository: "mine"}, tag[5:]); err != nil {
			t.Error(err)
		}
	}
	// Who may not import into the registry does not see how its imports go.
	accepted := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/importImage", importBody(`"registryUri":"`+host+`","sourceImage":"base:v1"`, ""))
	stranger := w.Person("stranger", "Contributor", source)
	denied(t, w.ARM(stranger, http.MethodGet, strings.TrimPrefix(accepted.Header.Get("Location"), w.URL("management")), ""), rbac.ActionImport)
	finish(t, w, accepted)
}

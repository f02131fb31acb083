package armapi_test

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	upstream "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/acrux/acrux/internal/access/rbac"
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
	go func() { done <- (&mirror.Worker{Imports: w.Imports, Log: slog.New(slog.DiscardHandler)}).Run(ctx) }()
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

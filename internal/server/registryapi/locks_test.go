package registryapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	contents "github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/server/servertest"
)

// patch changes attributes and returns the answer.
func (r registry) patch(t *testing.T, path, body string) servertest.Answer {
	t.Helper()
	a := r.send(http.MethodPatch, path, body)
	want(t, a, 200, "")
	return a
}

// What each lock forbids, and that nothing else does: every operation is tried under
// every lock, in a repository of its own.
func TestLocks(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	manifest, other := simple("layer"), simple("other")
	d := digestOf(manifest)
	operations := []struct {
		name, method, path, body string
		status                   int
	}{
		{"pull by tag", "GET", "/v2/hello/manifests/v1", "", 200},
		{"pull by digest", "HEAD", "/v2/hello/manifests/" + d, "", 200},
		{"pull by another tag", "GET", "/v2/hello/manifests/v2", "", 200},
		{"pull a layer", "GET", "/v2/hello/blobs/" + digestOf("layer"), "", 200},
		{"push a layer", "POST", "/v2/hello/blobs/uploads/?digest=" + digestOf("new"), "new", 201},
		{"begin an upload", "POST", "/v2/hello/blobs/uploads/", "", 202},
		{"mount into it", "POST", "/v2/hello/blobs/uploads/?from=zoo&mount=" + digestOf("zoo"), "", 201},
		{"mount from it", "POST", "/v2/zoo/blobs/uploads/?from=hello&mount=" + digestOf("layer"), "", 201},
		{"a new tag of another manifest", "PUT", "/v2/hello/manifests/v9", other, 201},
		{"a new tag of it", "PUT", "/v2/hello/manifests/v9", manifest, 201},
		{"move the tag", "PUT", "/v2/hello/manifests/v1", other, 201},
		{"untag", "DELETE", "/acr/v1/hello/_tags/v1", "", 202},
		{"untag by OCI", "DELETE", "/v2/hello/manifests/v1", "", 202},
		{"untag another", "DELETE", "/acr/v1/hello/_tags/v2", "", 202},
		{"delete the manifest", "DELETE", "/v2/hello/manifests/" + d, "", 202},
		{"delete another manifest", "DELETE", "/v2/hello/manifests/" + digestOf(other), "", 202},
		{"delete the layer", "DELETE", "/v2/hello/blobs/" + digestOf("layer"), "", 202},
		{"delete the repository", "DELETE", "/acr/v1/hello", "", 202},
		{"delete another repository", "DELETE", "/acr/v1/zoo", "", 202},
		{"see it", "GET", "/acr/v1/hello/_manifests/" + d, "", 200},
	}
	pulls := []string{"pull by tag", "pull by digest", "pull by another tag", "pull a layer", "mount from it"}
	pushes := []string{"push a layer", "begin an upload", "mount into it", "a new tag of another manifest", "a new tag of it", "move the tag"}
	deletes := []string{"untag", "untag by OCI", "untag another", "delete the manifest", "delete another manifest", "delete the layer", "delete the repository"}
	ofManifest := []string{"delete the manifest", "delete the layer", "delete the repository"}
	for i, lock := range []struct {
		path, body, fix string
		forbids         []string
	}{
		{"/acr/v1/hello", `{"writeEnabled":false}`, "--repository hello --write-enabled true", append(slices.Clone(pushes), deletes...)},
		{"/acr/v1/hello", `{"deleteEnabled":false}`, "--repository hello --delete-enabled true", deletes},
		{"/acr/v1/hello", `{"readEnabled":false}`, "--repository hello --read-enabled true", pulls},
		{"/acr/v1/hello", `{"listEnabled":false}`, "", nil},
		{"/acr/v1/hello/_tags/v1", `{"writeEnabled":false}`, "--image hello:v1 --write-enabled true", append([]string{"move the tag", "untag", "untag by OCI"}, ofManifest...)},
		{"/acr/v1/hello/_tags/v1", `{"deleteEnabled":false}`, "--image hello:v1 --delete-enabled true", append([]string{"untag", "untag by OCI"}, ofManifest...)},
		{"/acr/v1/hello/_tags/v1", `{"readEnabled":false}`, "--image hello:v1 --read-enabled true", []string{"pull by tag"}},
		{"/acr/v1/hello/_manifests/" + d, `{"writeEnabled":false}`, "--image hello@" + d + " --write-enabled true", append([]string{"a new tag of it"}, ofManifest...)},
		{"/acr/v1/hello/_manifests/" + d, `{"deleteEnabled":false}`, "--image hello@" + d + " --delete-enabled true", ofManifest},
		{"/acr/v1/hello/_manifests/" + d, `{"readEnabled":false}`, "--image hello@" + d + " --read-enabled true", []string{"pull by tag", "pull by digest", "pull by another tag"}},
	} {
		t.Run(lock.path[len("/acr/v1/"):]+lock.body, func(t *testing.T) {
			for k, op := range operations {
				hello, zoo := fmt.Sprintf("hello%dx%d", i, k), fmt.Sprintf("zoo%dx%d", i, k)
				named := strings.NewReplacer("hello", hello, "zoo", zoo).Replace
				r.image(t, hello, "v1", "layer")
				want(t, r.send("PUT", "/v2/"+hello+"/manifests/v2", manifest, "Content-Type", imageType), 201, "")
				r.image(t, hello, "other", "other")
				r.blob(t, zoo, "zoo")
				r.patch(t, named(lock.path), lock.body)
				a := r.send(op.method, named(op.path), op.body, "Content-Type", imageType)
				switch {
				case !slices.Contains(lock.forbids, op.name):
					if a.Status != op.status {
						t.Errorf("%s: %d %s", op.name, a.Status, a.Body)
					}
				case op.name == "mount from it":
					if a.Status != 202 { // as for a blob that is not there
						t.Errorf("%s: %d %s", op.name, a.Status, a.Body)
					}
				case a.Status != 405 || op.method != "HEAD" && (errorCode(a) != lockCode(op.path) ||
					!strings.Contains(a.Body, "az acr repository update --name myregistry "+named(lock.fix))):
					t.Errorf("%s: %d %s", op.name, a.Status, a.Body)
				}
			}
		})
	}
}

// lockCode is the code of what a lock forbids: to Azure's clients ACR's, to others one after
// which they do not try again.
func lockCode(path string) string {
	if strings.HasPrefix(path, "/acr/") {
		return "REGISTRY_DISALLOWED_OPERATION"
	}
	return "DENIED"
}

// What is refused under a lock changes nothing, and goes through once it is lifted.
func TestLockLifted(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.image(t, "hello", "v1", "layer")
	r.image(t, "hello", "other", "other")
	r.patch(t, "/acr/v1/hello/_tags/v1", `{"writeEnabled":false,"deleteEnabled":null}`)
	want(t, r.send("PUT", "/v2/hello/manifests/"+digestOf(simple("other"))+"?tag=new&tag=v1", simple("other"), "Content-Type", imageType), 405, "DENIED")
	want(t, r.send("GET", "/v2/hello/manifests/new", ""), 404, "MANIFEST_UNKNOWN")
	want(t, r.send("DELETE", "/acr/v1/hello", ""), 405, "REGISTRY_DISALLOWED_OPERATION")
	equal(t, r.send("GET", "/acr/v1/hello", "").At("manifestCount"), any(2.0))
	a := r.patch(t, "/acr/v1/hello/_tags/v1", `{"writeEnabled":true}`)
	equal(t, a.Body, r.send("GET", "/acr/v1/hello/_tags/v1", "").Body)
	want(t, r.send("PUT", "/v2/hello/manifests/v1", simple("other"), "Content-Type", imageType), 201, "")
	want(t, r.send("DELETE", "/acr/v1/hello", ""), 202, "")
	// A name that is used again begins without locks.
	r.image(t, "hello", "v1", "layer")
	equal(t, r.send("GET", "/acr/v1/hello", "").At("changeableAttributes", "deleteEnabled"), any(true))
}

// What is not to be listed is in no list, and there under its name.
func TestUnlisted(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	subject := r.image(t, "hello", "v1", "layer")
	want(t, r.send("PUT", "/v2/hello/manifests/v2", subject, "Content-Type", imageType), 201, "")
	referrer := strings.Replace(simple("layer"), `"layers"`, `"subject":{"mediaType":"`+imageType+`","digest":"`+digestOf(subject)+`","size":1},"layers"`, 1)
	want(t, r.send("PUT", "/v2/hello/manifests/"+digestOf(referrer), referrer, "Content-Type", imageType), 201, "")
	r.image(t, "zoo", "v1", "layer")
	hide := `{"listEnabled":false}`
	r.patch(t, "/acr/v1/zoo", hide)
	r.patch(t, "/acr/v1/hello/_tags/v1", hide)
	r.patch(t, "/acr/v1/hello/_manifests/"+digestOf(referrer), hide)
	for path, word := range map[string]string{"/v2/_catalog": "zoo", "/acr/v1/_catalog": "zoo", "/v2/hello/tags/list": "v1", "/acr/v1/hello/_tags": `"v1"`, "/acr/v1/hello/_tags?orderby=timedesc": `"v1"`,
		"/acr/v1/hello/_manifests": `"v1"`, "/acr/v1/hello/_manifests?n=9&orderby=timeasc": digestOf(referrer), "/v2/hello/referrers/" + digestOf(subject): digestOf(referrer)} {
		a := r.send("GET", path, "")
		if a.Status != 200 || strings.Contains(a.Body, word) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	for _, path := range []string{"/acr/v1/zoo", "/v2/zoo/manifests/v1", "/acr/v1/hello/_tags/v1", "/v2/hello/manifests/" + digestOf(referrer)} {
		want(t, r.send("GET", path, ""), 200, "")
	}
	// A repository that is deleted tells of all that was in it.
	a := r.send("DELETE", "/acr/v1/hello", "")
	want(t, a, 202, "")
	if !strings.Contains(a.Body, `"v1"`) || !strings.Contains(a.Body, digestOf(referrer)) {
		t.Errorf("deleted: %s", a.Body)
	}
}

// Bodies of PATCH that are refused, and change nothing.
func TestAttributesRefused(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.image(t, "hello", "v1", "layer")
	for _, test := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/acr/v1/hello", ``, 400, "INVALID_REQUEST"},
		{"/acr/v1/hello", `null`, 400, "INVALID_REQUEST"},
		{"/acr/v1/hello", `[]`, 400, "INVALID_REQUEST"},
		{"/acr/v1/hello", `{"writeEnabled":"false"}`, 400, "INVALID_REQUEST"},
		{"/acr/v1/hello", `{"writeEnabled":false,"pushEnabled":false}`, 400, "INVALID_REQUEST"},
		{"/acr/v1/hello", `{"writeEnabled":false,"quarantineState":"passed"}`, 405, "UNSUPPORTED"},
		{"/acr/v1/hello/_manifests/" + digestOf(simple("layer")), `{"quarantineDetails":"x","writeEnabled":false}`, 405, "UNSUPPORTED"},
		{"/acr/v1/hello", `{"writeEnabled":false,"x":"` + strings.Repeat("x", 70_000) + `"}`, 413, "SIZE_INVALID"},
		{"/acr/v1/hello", strings.Repeat(`{"x":`, 11_000), 400, "INVALID_REQUEST"},
		{"/acr/v1/nobody", `{"writeEnabled":false}`, 404, "NAME_UNKNOWN"},
		{"/acr/v1/hello/_tags/v9", `{"writeEnabled":false}`, 404, "TAG_UNKNOWN"},
		{"/acr/v1/hello/_manifests/v1", `{"writeEnabled":false}`, 400, "DIGEST_INVALID"},
		{"/acr/v1/hello/_manifests/" + digestOf("none"), `{"writeEnabled":false}`, 404, "MANIFEST_UNKNOWN"},
		{"/acr/v1/hello/_tags", `{"writeEnabled":false}`, 405, "UNSUPPORTED"},
		{"/acr/v1/_deleted/hello/_manifests/" + digestOf("none"), `{}`, 405, "UNSUPPORTED"},
		{"/acr/v1/hello/_purge", `{}`, 405, "UNSUPPORTED"},
	} {
		if a := r.send("PATCH", test.path, test.body); a.Status != test.status || errorCode(a) != test.code {
			t.Errorf("%s %.60s: %d %s", test.path, test.body, a.Status, a.Body)
		}
	}
	repo, err := w.Content.Repository(t.Context(), contents.Name{Registry: "myregistry", Repository: "hello"})
	must(t, err)
	if repo.Attributes != 15 {
		t.Errorf("something was changed: %d", repo.Attributes)
	}
}

// An index that is locked, or has a locked tag, keeps what it consists of.
func TestLockedIndexKeepsItsParts(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	child := r.image(t, "hello", "child", "layer")
	of := func(d string) string {
		return `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[{"mediaType":"` + imageType + `","digest":"` + d + `","size":1}]}`
	}
	inner := of(digestOf(child))
	outer := of(digestOf(inner))
	want(t, r.send("PUT", "/v2/hello/manifests/"+digestOf(inner), inner, "Content-Type", indexType), 201, "")
	want(t, r.send("PUT", "/v2/hello/manifests/multi", outer, "Content-Type", indexType), 201, "")
	r.patch(t, "/acr/v1/hello/_tags/multi", `{"deleteEnabled":false}`)
	for _, path := range []string{"manifests/" + digestOf(outer), "manifests/" + digestOf(inner), "manifests/" + digestOf(child), "blobs/" + digestOf("layer"), "blobs/" + digestOf("{}")} {
		a := r.send("DELETE", "/v2/hello/"+path, "")
		want(t, a, 405, "DENIED")
		if !strings.Contains(a.Body, "--image hello:multi --delete-enabled true") {
			t.Errorf("%s: %s", path, a.Body)
		}
	}
	want(t, r.send("DELETE", "/v2/hello/manifests/child", ""), 202, "") // a tag
	r.patch(t, "/acr/v1/hello/_tags/multi", `{"deleteEnabled":true}`)
	want(t, r.send("DELETE", "/v2/hello/manifests/"+digestOf(outer), ""), 202, "")
}

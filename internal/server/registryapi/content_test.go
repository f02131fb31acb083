package registryapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	contents "github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/server/servertest"
)

// push begins an upload and returns its location.
func (r registry) push(t *testing.T, repository string) string {
	t.Helper()
	a := r.send("POST", "/v2/"+repository+"/blobs/uploads/", "")
	want(t, a, 202, "")
	if a.Header.Get("Range") != "0-0" {
		t.Errorf("the range of an empty upload is %s", a.Header.Get("Range"))
	}
	return a.Header.Get("Location")
}

// A chunk begins where the upload ends; every other is refused, with the words that
// say where that is.
func TestChunks(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	at := r.push(t, "hello")
	for _, chunk := range []struct {
		body, span string
		status     int
		reached    string
	}{
		{"abcde", "5-9", 416, "0-0"},
		{"abcde", "0-4", 202, "0-4"},
		{"abcde", "0-4", 416, "0-4"},
		{"xyz", "10-12", 416, "0-4"},
		{"fgh", "5-9", 416, "0-4"}, // longer than it is
		{"fgh", "rubbish", 416, "0-4"},
		{"fgh", "5-7", 202, "0-7"},
		{"ij", "", 202, "0-9"}, // a stream
	} {
		head := []string{}
		if chunk.span != "" {
			head = append(head, "Content-Range", chunk.span)
		}
		a := r.send("PATCH", at, chunk.body, head...)
		if a.Status != chunk.status || a.Header.Get("Range") != chunk.reached || a.Header.Get("Location") != at {
			t.Fatalf("chunk %q at %s: %d, range %s, location %s", chunk.body, chunk.span, a.Status, a.Header.Get("Range"), a.Header.Get("Location"))
		}
	}
	a := r.send("GET", at, "")
	want(t, a, 204, "")
	equal(t, a.Header.Get("Range"), "0-9")
	want(t, r.send("PUT", at+"?digest="+digestOf("other"), "k"), 400, "DIGEST_INVALID")
	at = r.push(t, "hello")
	want(t, r.send("PATCH", at, "abc"), 202, "")
	want(t, r.send("PUT", at+"?digest="+digestOf("abcd"), "d", "Content-Range", "3-3"), 201, "")
	want(t, r.send("PATCH", at, "more"), 404, "BLOB_UPLOAD_UNKNOWN")
	equal(t, r.send("GET", "/v2/hello/blobs/"+digestOf("abcd"), "").Body, "abcd")
	at = r.push(t, "hello")
	want(t, r.send("PATCH", strings.Replace(at, "/hello/", "/other/", 1), "x"), 404, "BLOB_UPLOAD_UNKNOWN")
	want(t, r.send("DELETE", at, ""), 204, "")
	want(t, r.send("GET", at, ""), 404, "BLOB_UPLOAD_UNKNOWN")
	want(t, r.send("POST", "/v2/UPPER/blobs/uploads/", ""), 400, "NAME_INVALID")
	want(t, r.send("PUT", r.push(t, "hello")+"?digest=sha256:x", ""), 400, "DIGEST_INVALID")
}

// Many writers on one upload: whatever is accepted is the bytes that the digest says.
func TestOneWriterAtATime(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	at := r.push(t, "hello")
	var accepted sync.Map
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			part := strings.Repeat(string(rune('a'+i)), 200_000)
			if a := r.send("PATCH", at, part); a.Status == 202 {
				accepted.Store(a.Header.Get("Range"), part)
			} else if a.Status != 409 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	group.Wait()
	whole := ""
	for n := 1; ; n++ {
		part, ok := accepted.Load(fmt.Sprintf("0-%d", n*200_000-1))
		if !ok {
			break
		}
		whole += part.(string)
	}
	want(t, r.send("PUT", at+"?digest="+digestOf(whole), ""), 201, "")
	if a := r.send("GET", "/v2/hello/blobs/"+digestOf(whole), ""); a.Body != whole {
		t.Errorf("%d bytes came back of %d, or others", len(a.Body), len(whole))
	}
}

func TestRanges(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.blob(t, "hello", "0123456789")
	path := "/v2/hello/blobs/" + digestOf("0123456789")
	for _, test := range []struct {
		span   string
		status int
		body   string
		head   string
	}{
		{"", 200, "0123456789", ""},
		{"bytes=0-0", 206, "0", "bytes 0-0/10"},
		{"bytes=3-5", 206, "345", "bytes 3-5/10"},
		{"bytes=7-", 206, "789", "bytes 7-9/10"},
		{"bytes=-3", 206, "789", "bytes 7-9/10"},
		{"bytes=-99", 206, "0123456789", "bytes 0-9/10"},
		{"bytes=5-999", 206, "56789", "bytes 5-9/10"},
		{"bytes=10-", 416, "", "bytes */10"},
		{"bytes=6-3", 416, "", "bytes */10"},
		{"bytes=-0", 416, "", "bytes */10"},
		{"bytes=99999999999999999999-", 416, "", "bytes */10"},
		{"bytes=-", 200, "0123456789", ""},
		{"bytes=0-99999999999999999999", 206, "0123456789", "bytes 0-9/10"},
		{"bytes=-99999999999999999999", 206, "0123456789", "bytes 0-9/10"},
		{"Bytes=3-5", 206, "345", "bytes 3-5/10"},
		{"bytes= 3-5 ,", 206, "345", "bytes 3-5/10"},
		{"bytes=", 200, "0123456789", ""},
		{"bytes=3-5;", 200, "0123456789", ""},
		{"lines=0-1", 200, "0123456789", ""},
	} {
		a := r.send("GET", path, "", "Range", test.span)
		if a.Status != test.status || a.Header.Get("Content-Range") != test.head || test.status < 300 && a.Body != test.body {
			t.Errorf("%q: %d %s %q", test.span, a.Status, a.Header.Get("Content-Range"), a.Body)
		}
	}
	a := r.send("HEAD", path, "")
	if a.Status != 200 || a.Header.Get("Content-Length") != "10" || a.Header.Get("Docker-Content-Digest") != digestOf("0123456789") {
		t.Errorf("HEAD: %d %v", a.Status, a.Header)
	}
}

// Knowing a digest opens nothing.
func TestDigestFromElsewhere(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	manifest := r.image(t, "secret", "v1", "layer")
	r.blob(t, "mine", "{}")
	another := of(w, registryNamed(w, "Another1"), w.Admin)
	another.blob(t, "secret", "{}")
	for _, test := range []struct {
		registry registry
		path     string
	}{
		{r, "/v2/mine/blobs/" + digestOf("layer")}, {r, "/v2/mine/manifests/" + digestOf(manifest)}, {r, "/v2/mine/manifests/v1"}, {r, "/v2/nobody/blobs/" + digestOf("layer")},
		{another, "/v2/secret/blobs/" + digestOf("layer")}, {another, "/v2/secret/manifests/" + digestOf(manifest)},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if a := test.registry.send(method, test.path, ""); a.Status != 404 {
				t.Errorf("%s %s at %s: %d", method, test.path, test.registry.host, a.Status)
			}
		}
	}
	// A manifest cannot name them either.
	want(t, r.send("PUT", "/v2/mine/manifests/v1", manifest, "Content-Type", imageType), 400, "MANIFEST_BLOB_UNKNOWN")
	index := `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[{"mediaType":"` + imageType + `","digest":"` + digestOf(manifest) + `","size":1}]}`
	want(t, r.send("PUT", "/v2/mine/manifests/v1", index, "Content-Type", indexType), 400, "MANIFEST_UNKNOWN")
	want(t, r.send("GET", "/v2/mine/tags/list", ""), 200, "")
}

// A mount takes a token that may pull at the source. Who may not pull there begins an
// upload, whether the blob is there or not; who may, with a token that covers less, is
// told what to ask for.
func TestMount(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.blob(t, "from", "layer")
	mount := "?mount=" + digestOf("layer") + "&from=from"
	want(t, r.send("POST", "/v2/a/blobs/uploads/"+mount, ""), 201, "")
	equal(t, r.send("GET", "/v2/a/blobs/"+digestOf("layer"), "").Body, "layer")
	want(t, r.send("POST", "/v2/c/blobs/uploads/?mount="+digestOf("layer"), ""), 201, "")
	equal(t, r.send("GET", "/v2/c/blobs/"+digestOf("layer"), "").Body, "layer")
	want(t, r.send("POST", "/v2/a/blobs/uploads/?mount="+digestOf("none"), ""), 202, "")
	want(t, r.send("POST", "/v2/a/blobs/uploads/?mount="+digestOf("none")+"&from=from", ""), 202, "")
	want(t, r.send("POST", "/v2/a/blobs/uploads/?mount="+digestOf("layer")+"&from=nobody", ""), 202, "")
	another := of(w, registryNamed(w, "Another1"), w.Admin)
	want(t, another.send("POST", "/v2/a/blobs/uploads/?mount="+digestOf("layer"), ""), 202, "")
	want(t, another.send("POST", "/v2/a/blobs/uploads/"+mount, ""), 202, "")
	narrow, _ := r.send("GET", "/oauth2/token?scope=repository:b:pull,push", "").At("token").(string)
	for _, login := range []string{"Bearer " + narrow, ""} { // the first challenge names both as well
		a := r.send("POST", "/v2/b/blobs/uploads/"+mount, "", "Authorization", login)
		want(t, a, 401, "UNAUTHORIZED")
		if got := a.Header.Get("WWW-Authenticate"); !strings.Contains(got, `,scope="repository:b:pull,push repository:from:pull"`) {
			t.Errorf("the challenge is %s", got)
		}
	}
	want(t, r.send("POST", "/v2/b/blobs/uploads/?mount="+digestOf("layer"), "", "Authorization", "Bearer "+narrow), 202, "")
	want(t, r.send("POST", "/v2/b/blobs/uploads/?mount="+digestOf("none"), "", "Authorization", "Bearer "+narrow), 202, "")
	want(t, r.send("HEAD", "/v2/b/blobs/"+digestOf("layer"), ""), 404, "")
	wide, _ := r.send("GET", "/oauth2/token?scope=repository:b:pull,push+repository:from:pull", "").At("token").(string)
	want(t, r.send("POST", "/v2/b/blobs/uploads/"+mount, "", "Authorization", "Bearer "+wide), 201, "")
}

// A list of referrers is cut by number and by size, and goes on where its link leads.
func TestReferrerPages(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	subject := digestOf(r.image(t, "hello", "v1", "layer"))
	long := strings.Repeat("x", 1<<20)
	for i := range 6 {
		body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","artifactType":"a/%d","config":{"mediaType":"x/y","digest":"%s","size":2},"layers":[],"subject":{"mediaType":"%s","digest":"%s","size":1},"annotations":{"k":"%d%s"}}`,
			imageType, i%2, digestOf("{}"), imageType, subject, i, long)
		want(t, r.send("PUT", "/v2/hello/manifests/"+digestOf(body), body, "Content-Type", imageType), 201, "")
	}
	pages := func(query string) (sizes []int) {
		for path := "/v2/hello/referrers/" + subject + query; path != ""; {
			a := r.send("GET", path, "")
			want(t, a, 200, "")
			sizes = append(sizes, len(a.At("manifests").([]any)))
			path, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
		}
		return sizes
	}
	equal(t, pages(""), []int{3, 3})
	equal(t, pages("?n=2"), []int{2, 2, 2})
	equal(t, pages("?n=2&artifactType=a/1"), []int{2, 1})
	equal(t, pages("?n=0"), []int{0})
}

func TestManifests(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	manifest := r.image(t, "hello", "v1", "layer")
	elsewhere := `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + digestOf("x") + `","size":1,"urls":["https://x.example"]},"layers":[]}`
	for _, test := range []struct {
		name, reference, mediaType, body string
		status                           int
		code                             string
	}{
		{"by digest", digestOf(manifest), imageType, manifest, 201, ""},
		{"with a character set", "v2", imageType + "; charset=utf-8", manifest, 201, ""},
		{"a type of its own", "v2", "", manifest, 201, ""},
		{"by digest with tags", digestOf(manifest) + "?tag=t1&tag=t2", imageType, manifest, 201, ""},
		{"with a bad tag", digestOf(manifest) + "?tag=..", imageType, manifest, 400, "TAG_INVALID"},
		{"with many tags", digestOf(manifest) + "?" + strings.Repeat("tag=a&", 40), imageType, manifest, 400, "TAG_INVALID"},
		{"another digest", digestOf("x"), imageType, manifest, 400, "DIGEST_INVALID"},
		{"a bad tag", "-bad", imageType, manifest, 400, "TAG_INVALID"},
		{"no JSON", "v2", imageType, "{", 400, "MANIFEST_INVALID"},
		{"two types", "v2", indexType, manifest, 400, "MANIFEST_INVALID"},
		{"an unknown type", "v2", "application/json", "{}", 400, "MANIFEST_INVALID"},
		{"no config", "v2", imageType, `{"schemaVersion":2}`, 400, "MANIFEST_INVALID"},
		{"layers of nothing", "v2", imageType, strings.Replace(manifest, `"layers":[`, `"layers":[null,`, 1), 400, "MANIFEST_INVALID"},
		{"a bad subject", "v2", imageType, strings.Replace(manifest, `"layers"`, `"subject":{"digest":"x"},"layers"`, 1), 400, "MANIFEST_INVALID"},
		{"a config elsewhere", "v3", imageType, elsewhere, 201, ""},
		{"too large", "v2", imageType, strings.Repeat(" ", 5<<20), 413, "SIZE_INVALID"},
	} {
		a := r.send("PUT", "/v2/hello/manifests/"+test.reference, test.body, "Content-Type", test.mediaType)
		if a.Status != test.status || errorCode(a) != test.code {
			t.Errorf("%s: %d %s", test.name, a.Status, a.Body)
		}
	}
	for _, tag := range []string{"v1", "v2", "t1", "t2"} {
		a := r.send("GET", "/v2/hello/manifests/"+tag, "")
		if a.Body != manifest || a.Header.Get("Content-Type") != imageType || a.Header.Get("Docker-Content-Digest") != digestOf(manifest) {
			t.Errorf("%s: %d %v %s", tag, a.Status, a.Header, a.Body)
		}
	}
	want(t, r.send("DELETE", "/v2/hello/manifests/t1", ""), 202, "")
	want(t, r.send("GET", "/v2/hello/manifests/t1", ""), 404, "MANIFEST_UNKNOWN")
	want(t, r.send("DELETE", "/v2/hello/manifests/"+digestOf(manifest), ""), 202, "")
	want(t, r.send("GET", "/v2/hello/manifests/v1", ""), 404, "MANIFEST_UNKNOWN")
	want(t, r.send("DELETE", "/v2/hello/manifests/"+digestOf(manifest), ""), 404, "MANIFEST_UNKNOWN")
	want(t, r.send("DELETE", "/v2/nobody/manifests/v1", ""), 404, "NAME_UNKNOWN")
	want(t, r.send("POST", "/v2/hello/manifests/v1", ""), 405, "UNSUPPORTED")
	want(t, r.send("GET", "/v3/hello", ""), 404, "NOT_FOUND")
	want(t, r.send("GET", "/helm/v1/repo/_charts", ""), 405, "UNSUPPORTED")
}

// The data plane's routes and the roles: who may do what.
func TestContentMatrix(t *testing.T) {
	w := servertest.New(t)
	roles := append([]rbac.Role{{Name: "(none)"}}, rbac.Roles()...)
	routes := []struct{ method, path, action string }{
		{"GET", "/v2/hello/manifests/none", rbac.ActionPull}, {"HEAD", "/v2/hello/blobs/" + digestOf("none"), rbac.ActionPull},
		{"GET", "/v2/hello/tags/list", rbac.ActionPull}, {"GET", "/v2/hello/referrers/" + digestOf("none"), rbac.ActionPull},
		{"PUT", "/v2/hello/manifests/none", rbac.ActionPush}, {"POST", "/v2/hello/blobs/uploads/?digest=none", rbac.ActionPush},
		{"PATCH", "/v2/hello/blobs/uploads/none", rbac.ActionPush}, {"PUT", "/v2/hello/blobs/uploads/none", rbac.ActionPush},
		{"GET", "/v2/hello/blobs/uploads/none", rbac.ActionPush}, {"DELETE", "/v2/hello/blobs/uploads/none", rbac.ActionPush},
		{"DELETE", "/v2/hello/manifests/none", rbac.ActionDelete}, {"DELETE", "/v2/hello/blobs/" + digestOf("none"), rbac.ActionDelete},
		{"DELETE", "/acr/v1/none", rbac.ActionDelete}, {"DELETE", "/acr/v1/hello/_tags/none", rbac.ActionDelete},
		{"GET", "/acr/v1/none", rbac.ActionPull}, {"GET", "/acr/v1/none/_tags", rbac.ActionPull}, {"GET", "/acr/v1/none/_manifests", rbac.ActionPull},
		{"PATCH", "/acr/v1/none", rbac.ActionMetadataWrite}, {"GET", "/v2/_catalog", rbac.ActionCatalog}, {"GET", "/acr/v1/_catalog", rbac.ActionCatalog},
		{"GET", "/acr/v1/_deleted/_catalog", rbac.ActionCatalog}, {"GET", "/acr/v1/_deleted/none/_tags", rbac.ActionDeletedRead}, {"GET", "/acr/v1/_deleted/none/_manifests", rbac.ActionDeletedRead},
		{"POST", "/acr/v1/_deleted/none/_manifests/none", rbac.ActionRestore}, {"POST", "/acr/v1/none/_purge", rbac.ActionDelete},
	}
	var b strings.Builder
	people := make([]registry, len(roles))
	for i, role := range roles {
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat("| ", i), role.Name)
		name := role.Name
		if i == 0 {
			name = ""
		}
		people[i] = of(w, "myregistry", w.Person(fmt.Sprint("p", i), name, arm.SubscriptionID(servertest.Subscription)))
	}
	for _, r := range routes {
		for i := range roles {
			a := people[i].send(r.method, r.path, "")
			denied := deniedBy(a)
			// What may be pulled may be looked at, and so may what metadata/read shows.
			permits := roles[i].Permits(r.action) && (r.action != rbac.ActionPush || roles[i].Permits(rbac.ActionPull)) &&
				(!strings.HasSuffix(r.path, "_purge") || roles[i].Permits(rbac.ActionMetadataRead)) ||
				r.action == rbac.ActionPull && strings.HasPrefix(r.path, "/acr/") && roles[i].Permits(rbac.ActionMetadataRead)
			if denied == permits || a.Status >= 500 {
				t.Errorf("%s: %s %s answers %d %s", roles[i].Name, r.method, r.path, a.Status, a.Body)
			}
			b.WriteString(map[bool]string{true: ". ", false: "x "}[denied])
		}
		fmt.Fprintf(&b, " %-6s %s\n", r.method, strings.ReplaceAll(r.path, digestOf("none"), "DIGEST"))
	}
	servertest.Golden(t, "authorization.golden", b.String())
}

// What was under way when a registry was deleted makes nothing in another one of its name.
func TestPushIntoDeletedRegistry(t *testing.T) {
	w := servertest.New(t)
	ctx, name, now := t.Context(), contents.Name{Registry: "myregistry", Repository: "hello"}, time.Now()
	r := of(w, "myregistry", w.Admin)
	manifest := r.image(t, "hello", "v1", "layer")
	a := w.ARM(w.Admin, "DELETE", w.Registry.String(), "")
	if a.Status >= 300 {
		t.Fatal(a.Status, a.Body)
	}
	for what, push := range map[string]func() error{
		"a blob": func() error {
			_, err := w.Content.AddBlob(ctx, name, strings.NewReader("late"), digest.FromString("late"), now)
			return err
		},
		"a manifest": func() error {
			_, err := w.Content.PutManifest(ctx, contents.Push{Name: name, Reference: "v1", MediaType: imageType, Body: []byte(manifest), Actor: "me", Now: now})
			return err
		},
		"an upload": func() error {
			u, err := w.Content.StartUpload(ctx, name, now)
			must(t, err)
			_, err = w.Content.Finish(ctx, u, strings.NewReader("late"), digest.FromString("late"), now)
			return err
		},
	} {
		if err := push(); err == nil || problem.From(err).Code != "NAME_UNKNOWN" {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.ARMOK(w.Admin, "PUT", w.Registry.String(), `{"location":"eastus","sku":{"name":"Basic"}}`)
	equal(t, strings.TrimSpace(r.send("GET", "/v2/_catalog", "").Body), `{"repositories":[]}`)
}

// Builders keep a cache as an index of blobs; it is taken in both forms, again and again, and
// refused with the name of what is not there.
func TestIndexOfBlobs(t *testing.T) {
	const dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	child := r.image(t, "cache", "v1", "layer")
	r.blob(t, "cache", "settings")
	r.blob(t, "other", "elsewhere")
	entry := func(mediaType, content string) string {
		return fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":%d}`, mediaType, digestOf(content), len(content))
	}
	layer := entry("application/vnd.oci.image.layer.v1.tar+gzip", "layer")
	settings := entry("application/vnd.buildkit.cacheconfig.v0", "settings")
	for _, form := range []string{indexType, dockerList} {
		list := func(entries ...string) string {
			return `{"schemaVersion":2,"mediaType":"` + form + `","manifests":[` + strings.Join(entries, ",") + `]}`
		}
		mixed := list(entry(imageType, child), settings)
		for _, body := range []string{list(layer, settings), mixed, list(layer, layer), list()} {
			for range 3 {
				want(t, r.send("PUT", "/v2/cache/manifests/latest", body, "Content-Type", form), 201, "")
			}
			want(t, r.send("PUT", "/v2/cache/manifests/"+digestOf(body), body, "Content-Type", form), 201, "")
			equal(t, r.send("GET", "/v2/cache/manifests/latest", "").Body, body)
		}
		for _, missing := range []string{"nowhere", "elsewhere"} {
			bad := list(layer, entry("application/vnd.oci.image.layer.v1.tar", missing))
			a := r.send("PUT", "/v2/cache/manifests/bad", bad, "Content-Type", form)
			want(t, a, 400, "MANIFEST_UNKNOWN")
			if !strings.Contains(a.Body, digestOf(missing)) {
				t.Errorf("it does not say what is missing: %s", a.Body)
			}
		}
	}
}

package registryapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/server/servertest"
)

// repeating are clients that send a request again by themselves, and after which answers:
// as the Azure CLI 2.45 and 2.91, BuildKit 0.34, oras 2, go-containerregistry 0.22, containerd
// 2.4 and podman 4.3 and 5.8 do. What comes after TOOMANYREQUESTS is not for good.
var repeating = []struct {
	name, agent string
	again       func(status int, code string) bool
}{
	{"az", "python-requests/2.28.1", func(status int, _ string) bool {
		return !slices.Contains([]int{200, 201, 202, 204, 401, 404, 405, 409}, status)
	}},
	{"buildkit", "buildkit/v0.34", func(status int, _ string) bool { return status >= 500 }},
	{"oras", "oras-go", func(status int, _ string) bool { return status == 408 || status == 429 || status >= 500 }},
	{"crane", "crane/v0.22 go-containerregistry/v0.22", func(status int, code string) bool {
		codes := []string{"BLOB_UPLOAD_INVALID", "TOOMANYREQUESTS", "UNKNOWN", "UNAVAILABLE"}
		return slices.Contains([]int{408, 429, 499, 500, 502, 503, 504, 522}, status) || slices.Contains(codes, code)
	}},
	{"containerd", "containerd/2.4.2", func(status int, _ string) bool {
		return slices.Contains([]int{408, 429, 500, 503, 504}, status)
	}},
	{"podman", "libpod/5.8.0", func(_ int, code string) bool {
		known := []string{"UNAUTHORIZED", "DENIED", "NAME_UNKNOWN", "MANIFEST_UNKNOWN"}
		standard := []string{"NAME_INVALID", "DIGEST_INVALID", "UNSUPPORTED", "MANIFEST_INVALID"} // whoever sends them
		return !slices.Contains(append(known, standard...), code)
	}},
}

// What is refused for good has no status after which a client asks again: the Azure CLI
// would be silent for 15 seconds.
func TestRefusalsAreFinal(t *testing.T) {
	w := servertest.New(t)
	admin := of(w, "myregistry", w.Admin)
	admin.image(t, "hello", "v1", "layer")
	admin.image(t, "locked", "v1", "layer")
	want(t, admin.send("PATCH", "/acr/v1/locked", `{"writeEnabled":false,"readEnabled":false}`), 200, "")
	puller := of(w, "myregistry", w.Person("puller", "AcrPull", w.Registry))
	d := digestOf(simple("layer"))
	for _, test := range []struct {
		who                registry
		method, path, body string
	}{
		{puller, "GET", "/v2/_catalog", ""},
		{puller, "GET", "/acr/v1/_catalog", ""},
		{puller, "PATCH", "/acr/v1/hello", `{"writeEnabled":false}`},
		{puller, "PATCH", "/acr/v1/hello/_tags/v1", `{"writeEnabled":false}`},
		{puller, "DELETE", "/acr/v1/hello", ""},
		{puller, "DELETE", "/acr/v1/hello/_tags/v1", ""},
		{puller, "DELETE", "/v2/hello/manifests/" + d, ""},
		{puller, "GET", "/acr/v1/_deleted/_catalog", ""},
		{puller, "GET", "/acr/v1/_deleted/hello/_manifests", ""},
		{puller, "POST", "/acr/v1/_deleted/hello/_manifests/" + d, ""},
		{puller, "POST", "/acr/v1/hello/_purge", `{}`},
		{admin, "GET", "/acr/v1/Hello", ""},
		{admin, "GET", "/acr/v1/hello/_manifests/sha256:12", ""},
		{admin, "GET", "/acr/v1/hello/_tags?n=-1", ""},
		{admin, "GET", "/acr/v1/hello/_tags?n=many", ""},
		{admin, "GET", "/acr/v1/hello/_tags?orderby=size", ""},
		{admin, "GET", "/v2/Hello/manifests/v1", ""},
		{admin, "GET", "/v2/hello/referrers/sha256:12", ""},
		{admin, "GET", "/v2/hello/manifests/none", ""},
		{admin, "DELETE", "/v2/hello/blobs/sha256:12", ""},
		{admin, "PATCH", "/acr/v1/hello", `[]`},
		{admin, "PATCH", "/acr/v1/hello", `{"writeEnabled":"no"}`},
		{admin, "PATCH", "/acr/v1/hello", `{"quarantineState":"Passed"}`},
		{admin, "PATCH", "/acr/v1/hello", `{"x":"` + strings.Repeat("x", 70_000) + `"}`},
		{admin, "POST", "/acr/v1/_deleted/hello/_manifests/" + d + "?force=perhaps", ""},
		{admin, "GET", "/helm/v1/repo/_charts", ""},
		{admin, "GET", "/v2/locked/manifests/v1", ""},
		{admin, "DELETE", "/acr/v1/locked", ""},
	} {
		for _, client := range repeating {
			if client.name == "podman" && !strings.HasPrefix(test.path, "/v2/") {
				continue
			}
			a := test.who.send(test.method, test.path, test.body, "User-Agent", client.agent)
			if a.Status < 400 || client.again(a.Status, errorCode(a)) {
				t.Errorf("%s would repeat %s %s: %d %s", client.name, test.method, test.path, a.Status, a.Body)
			}
		}
	}
}

// Azure's clients are told by 401 that the token lacks a right, as ACR does, and show the
// message alone: it has who, what, where, and what helps. Others are told 403; of 401 some
// show no message.
func TestDenialByClient(t *testing.T) {
	w := servertest.New(t)
	of(w, "myregistry", w.Admin).image(t, "hello", "v1", "layer")
	p := w.Person("puller", "AcrPull", w.Registry)
	r := of(w, "myregistry", p)
	const az = "python-requests/2.32.3"
	for _, test := range []struct {
		agent, method, path string
		status              int
	}{
		{az, "DELETE", "/v2/hello/manifests/" + digestOf(simple("layer")), 401},
		{az, "GET", "/v2/_catalog", 401},
		{az, "DELETE", "/acr/v1/hello", 401},
		{az, "PUT", "/v2/hello/manifests/v1", 403}, // is not the Azure CLI
		{"azsdk-go-azcontainers/v0.2.3", "DELETE", "/acr/v1/hello", 401},
		{"acrux", "DELETE", "/acr/v1/hello", 403}, // shows hints by itself
		{"docker/29.0 containerd/2.4", "POST", "/v2/hello/blobs/uploads/", 403},
		{"containers/5.33", "POST", "/v2/hello/blobs/uploads/", 403},
	} {
		a := r.send(test.method, test.path, "", "User-Agent", test.agent)
		if a.Status != test.status {
			t.Errorf("%s: %s %s: %d %s", test.agent, test.method, test.path, a.Status, a.Body)
		}
		message, _ := firstError(a)["message"].(string)
		helps := "az role assignment create --assignee " + string(p.ObjectID) + " --scope " + w.Registry.String() + " --role "
		if !strings.Contains(message, "(principalId "+string(p.ObjectID)) || !strings.Contains(a.Body, helps) {
			t.Errorf("%s: %s %s does not say who or what helps: %s", test.agent, test.method, test.path, a.Body)
		}
		if test.status != http.StatusUnauthorized {
			continue
		}
		if errorCode(a) != "UNAUTHORIZED" || !strings.Contains(message, helps) || !deniedBy(a) {
			t.Errorf("%s: %s %s: %v %s", test.agent, test.method, test.path, a.Header, a.Body)
		}
	}
	missing := r.send("GET", "/v2/_catalog", "", "User-Agent", az)
	if text := missing.Header.Get("WWW-Authenticate"); !strings.Contains(text, `scope="registry:catalog:*",error=`) ||
		!strings.Contains(missing.Body, rbac.ActionCatalog) {
		t.Errorf("%s %s", text, missing.Body)
	}
}

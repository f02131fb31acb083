package registryapi_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	orasremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/acrux/acrux/internal/server/servertest"
)

// counter counts requests by method.
type counter struct {
	http.RoundTripper
	mu      sync.Mutex
	methods []string
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.methods = append(c.methods, r.Method+" "+r.URL.Path)
	c.mu.Unlock()
	return c.RoundTripper.RoundTrip(r)
}

func (r registry) options(transport http.RoundTripper) []remote.Option {
	return []remote.Option{remote.WithAuth(&authn.Basic{Username: string(r.person.ClientID), Password: r.person.Secret}), remote.WithTransport(transport), remote.WithJobs(2)}
}

func (r registry) ref(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(r.host + "/" + text)
	must(t, err)
	return ref
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// go-containerregistry pushes and pulls an image and an index, lists, and mounts
// from one repository into another without sending the layers again.
func TestGoContainerRegistry(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	opts := r.options(w.Client.Transport)
	image, err := random.Image(5000, 3)
	must(t, err)
	config, err := image.ConfigFile()
	must(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	image, err = mutate.ConfigFile(image, config)
	must(t, err)
	must(t, remote.Write(r.ref(t, "team/hello:v1"), image, opts...))
	pulled, err := remote.Image(r.ref(t, "team/hello:v1"), opts...)
	must(t, err)
	must(t, validate.Image(pulled))

	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	must(t, remote.WriteIndex(r.ref(t, "team/hello:multi"), index, opts...))
	back, err := remote.Index(r.ref(t, "team/hello:multi"), opts...)
	must(t, err)
	must(t, validate.Index(back))

	seen := &counter{RoundTripper: w.Client.Transport}
	must(t, remote.Write(r.ref(t, "other:v1"), pulled, r.options(seen)...))
	// The configuration is made anew; layers are mounted.
	if count(seen.methods, "PATCH") > 1 {
		t.Errorf("layers were sent again: %v", seen.methods)
	}
	tags, err := remote.List(r.ref(t, "team/hello:v1").Context(), opts...)
	must(t, err)
	equal(t, tags, []string{"multi", "v1"})
	reg, err := name.NewRegistry(r.host)
	must(t, err)
	repositories, err := remote.Catalog(t.Context(), reg, opts...)
	must(t, err)
	equal(t, repositories, []string{"other", "team/hello"})
	must(t, remote.Delete(r.ref(t, "other:v1"), opts...))
	if _, err := remote.Head(r.ref(t, "other:v1"), opts...); err == nil {
		t.Error("a deleted tag is still there")
	}
}

func count(all []string, prefix string) (n int) {
	for _, text := range all {
		if strings.HasPrefix(text, prefix) {
			n++
		}
	}
	return n
}

func (r registry) oras(t *testing.T, repository string) *orasremote.Repository {
	t.Helper()
	repo, err := orasremote.NewRepository(r.host + "/" + repository)
	must(t, err)
	repo.Client = &auth.Client{Client: r.Client, Cache: auth.NewCache(), Credential: auth.StaticCredential(r.host, auth.Credential{Username: string(r.person.ClientID), Password: r.person.Secret})}
	return repo
}

// oras packs an artifact, attaches another to it and finds it by the referrers API;
// pages of tags are followed.
func TestOras(t *testing.T) {
	ctx := t.Context()
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	repo := r.oras(t, "artifacts")
	store := memory.New()
	layer, err := oras.PushBytes(ctx, store, "text/plain", []byte("hello"))
	must(t, err)
	subject, err := oras.PackManifest(ctx, store, oras.PackManifestVersion1_1, "application/vnd.example", oras.PackManifestOptions{Layers: []spec.Descriptor{layer}})
	must(t, err)
	must(t, store.Tag(ctx, subject, "v1"))
	_, err = oras.Copy(ctx, store, "v1", repo, "v1", oras.DefaultCopyOptions)
	must(t, err)
	sbom, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "application/vnd.sbom", oras.PackManifestOptions{Subject: &subject})
	must(t, err)
	signature, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "application/vnd.signature", oras.PackManifestOptions{Subject: &subject})
	must(t, err)

	found := func(kind string) (all []digest.Digest) {
		must(t, repo.Referrers(ctx, subject, kind, func(page []spec.Descriptor) error {
			for _, d := range page {
				all = append(all, d.Digest)
			}
			return nil
		}))
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
		return all
	}
	both := []digest.Digest{sbom.Digest, signature.Digest}
	sort.Slice(both, func(i, j int) bool { return both[i] < both[j] })
	equal(t, found(""), both)
	equal(t, found("application/vnd.sbom"), []digest.Digest{sbom.Digest})
	equal(t, found("application/vnd.nothing"), []digest.Digest(nil))

	want := []string{"v1"}
	for _, tag := range []string{"a", "b", "c", "d", "Z"} {
		must(t, repo.Tag(ctx, subject, tag))
		want = append(want, tag)
	}
	sort.Strings(want)
	repo.TagListPageSize = 2
	var tags []string
	must(t, repo.Tags(ctx, "", func(page []string) error { tags = append(tags, page...); return nil }))
	equal(t, tags, want)
	pull(t, ctx, repo, layer, "hello")
}

func pull(t *testing.T, ctx context.Context, repo *orasremote.Repository, d spec.Descriptor, want string) {
	t.Helper()
	rc, err := repo.Fetch(ctx, d)
	must(t, err)
	defer rc.Close()
	var buf bytes.Buffer
	_, err = io.Copy(&buf, rc)
	must(t, err)
	equal(t, buf.String(), want)
}

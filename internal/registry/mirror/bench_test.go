package mirror_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/access/tenant"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/mirror"
	"github.com/acrux/acrux/internal/server/servertest"
)

// An image of 1 GiB between two registries of an installation: rows, and no bytes.
// Promised are 50 ms at most.
func BenchmarkImportWithin(b *testing.B) {
	ctx := b.Context()
	dir := b.TempDir()
	stack, err := servertest.Build(ctx, dir, dir, "127.0.0.1:1")
	must(b, err)
	defer func() { must(b, stack.DB.Close()) }()
	ids := registries(b, stack, "source1", "target1")
	from := registry.Name{Registry: "source1", Repository: "large"}
	const layers, size = 8, 128 << 20
	var parts []string
	for i := range layers {
		sum := digest.Canonical.Digester()
		_, err := io.Copy(sum.Hash(), zeros(i, size))
		must(b, err)
		_, err = stack.Content.AddBlob(ctx, from, zeros(i, size), sum.Digest(), time.Now())
		must(b, err)
		parts = append(parts, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}`, sum.Digest(), size))
	}
	_, err = stack.Content.AddBlob(ctx, from, strings.NewReader("{}"), digest.FromString("{}"), time.Now())
	must(b, err)
	const imageType = "application/vnd.oci.image.manifest.v1+json"
	body := `{"schemaVersion":2,"mediaType":"` + imageType + `","config":{"mediaType":"x/y","digest":"` + digest.FromString("{}").String() + `","size":2},"layers":[` + strings.Join(parts, ",") + `]}`
	_, err = stack.Content.PutManifest(ctx, registry.Push{Name: from, Reference: "v1", MediaType: imageType, Body: []byte(body), Now: time.Now()})
	must(b, err)
	n := 0
	for b.Loop() {
		n++
		var req mirror.Request
		req.Source.ResourceID, req.Source.SourceImage = ids[0].String(), "large:v1"
		req.TargetTags = []string{fmt.Sprintf("copy%d:v1", n)}
		source, err := stack.Imports.Resolve(ctx, req)
		must(b, err)
		operation, err := stack.Imports.Start(ctx, ids[1], source, req, "me", time.Now())
		must(b, err)
		if operation != "" {
			b.Fatal("it is not done at once")
		}
	}
}

// zeros is content of n bytes that begins with a number.
func zeros(number, n int) io.Reader {
	head := fmt.Sprint(number)
	return io.MultiReader(strings.NewReader(head), io.LimitReader(zero{}, int64(n-len(head))))
}

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func registries(b *testing.B, stack *servertest.Stack, names ...string) (ids []arm.ID) {
	group := arm.GroupID(servertest.Subscription, "MyGroup")
	_, _, err := stack.Groups.Put(b.Context(), resource.Put[tenant.Properties]{ID: group, Location: "eastus", Now: time.Now()})
	must(b, err)
	for _, name := range names {
		id := group.In(registry.Kind, name)
		_, _, err := stack.Registries.Put(b.Context(), resource.Put[registry.Properties]{ID: id, SKU: &arm.SKU{Name: "Basic"}, Now: time.Now()})
		must(b, err)
		ids = append(ids, id)
	}
	return ids
}

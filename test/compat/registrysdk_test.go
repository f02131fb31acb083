package compat_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	azcr "github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
)

// The SDK's client of the registry itself: pages, properties, locks, blobs, manifests.
func TestRegistrySDK(t *testing.T) {
	t.Parallel()
	need(t)
	s := newWorld(t).serve(t, "")
	k := newSDK(t, s, "adfs")
	acrux(t, s, "group", "create", "--name", "g", "--location", "eastus")
	acrux(t, s, "acr", "create", "--resource-group", "g", "--name", "myregistry", "--sku", "Basic")
	acrux(t, s, "acr", "import", "--name", "myregistry", "--source", "docker.io/library/node:15-alpine", "--image", "a/b:1", "--image", "a/b:2", "--image", "c:1")
	options := k.options.ClientOptions
	options.Cloud.Services[azcr.ServiceName] = cloud.ServiceConfiguration{Audience: s.Published.URL("management")}
	endpoint := "https://myregistry.azurecr." + s.Published.Suffix()
	c := must[*azcr.Client](t)(azcr.NewClient(endpoint, k.credential, &azcr.ClientOptions{ClientOptions: options}))
	ctx := t.Context()

	var names []string
	for pager := c.NewListRepositoriesPager(&azcr.ClientListRepositoriesOptions{MaxNum: to.Ptr(int32(1))}); pager.More(); {
		page, err := pager.NextPage(ctx)
		check(t, err)
		for _, name := range page.Names {
			names = append(names, *name)
		}
	}
	if len(names) != 2 || names[0] != "a/b" || names[1] != "c" {
		t.Errorf("the repositories are %v", names)
	}
	var tags []string
	for pager := c.NewListTagsPager("a/b", &azcr.ClientListTagsOptions{MaxNum: to.Ptr(int32(1)), OrderBy: to.Ptr(azcr.ArtifactTagOrderByLastUpdatedOnDescending)}); pager.More(); {
		page, err := pager.NextPage(ctx)
		check(t, err)
		for _, tag := range page.Tags {
			tags = append(tags, *tag.Name)
		}
	}
	if len(tags) != 2 {
		t.Errorf("the tags are %v", tags)
	}

	tag := must[azcr.ClientGetTagPropertiesResponse](t)(c.GetTagProperties(ctx, "a/b", "1", nil))
	manifest := must[azcr.ClientGetManifestPropertiesResponse](t)(c.GetManifestProperties(ctx, "a/b", *tag.Tag.Digest, nil))
	if m := manifest.Manifest; *m.Digest != *tag.Tag.Digest || len(m.Tags) != 2 || *m.Size == 0 || *m.Architecture != azcr.ArtifactArchitectureAmd64 || *m.OperatingSystem != azcr.ArtifactOperatingSystemLinux {
		t.Errorf("the manifest is %+v", m)
	}
	locked := must[azcr.ClientUpdateTagPropertiesResponse](t)(c.UpdateTagProperties(ctx, "a/b", "1", &azcr.ClientUpdateTagPropertiesOptions{Value: &azcr.TagWriteableProperties{CanDelete: to.Ptr(false)}}))
	if *locked.Tag.ChangeableAttributes.CanDelete || !*locked.Tag.ChangeableAttributes.CanRead {
		t.Errorf("the tag is %+v", locked.Tag.ChangeableAttributes)
	}
	if _, err := c.DeleteTag(ctx, "a/b", "1", nil); err == nil {
		t.Error("a locked tag was deleted")
	}
	if _, err := c.DeleteTag(ctx, "a/b", "2", nil); err != nil {
		t.Error(err)
	}

	got := must[azcr.ClientGetManifestResponse](t)(c.GetManifest(ctx, "a/b", "1", &azcr.ClientGetManifestOptions{Accept: to.Ptr("application/vnd.docker.distribution.manifest.v2+json")}))
	reader := must[*azcr.DigestValidationReader](t)(azcr.NewDigestValidationReader(*got.DockerContentDigest, got.ManifestData))
	text := must[[]byte](t)(io.ReadAll(reader))
	again := must[azcr.ClientUploadManifestResponse](t)(c.UploadManifest(ctx, "a/b", "3", azcr.ContentTypeApplicationVndDockerDistributionManifestV2JSON, streaming.NopCloser(bytes.NewReader(text)), nil))
	if *again.DockerContentDigest != *tag.Tag.Digest {
		t.Errorf("the same manifest is %s", *again.DockerContentDigest)
	}
	blobs(t, must[*azcr.BlobClient](t)(azcr.NewBlobClient(endpoint, k.credential, &azcr.BlobClientOptions{ClientOptions: options})))

	if _, err := c.DeleteRepository(ctx, "c", nil); err != nil {
		t.Error(err)
	}
	if _, err := c.GetRepositoryProperties(ctx, "c", nil); err == nil {
		t.Error("a deleted repository is there")
	}
}

// blobs uploads a blob in two pieces, mounts it elsewhere and reads it back.
func blobs(t *testing.T, c *azcr.BlobClient) {
	t.Helper()
	ctx := t.Context()
	calculator := azcr.NewBlobDigestCalculator()
	upload := must[azcr.BlobClientStartUploadResponse](t)(c.StartUpload(ctx, "a/b", nil))
	location := *upload.Location
	for _, piece := range []string{"first ", "second"} {
		chunk := must[azcr.BlobClientUploadChunkResponse](t)(c.UploadChunk(ctx, location, bytes.NewReader([]byte(piece)), calculator, nil))
		location = *chunk.Location
	}
	done := must[azcr.BlobClientCompleteUploadResponse](t)(c.CompleteUpload(ctx, location, calculator, nil))
	digest := *done.DockerContentDigest
	if _, err := c.MountBlob(ctx, "new", "a/b", digest, nil); err != nil {
		t.Error(err)
	}
	blob := must[azcr.BlobClientGetBlobResponse](t)(c.GetBlob(ctx, "a/b", digest, nil))
	if text := must[[]byte](t)(io.ReadAll(blob.BlobData)); string(text) != "first second" {
		t.Errorf("the blob is %q", text)
	}
	part := must[azcr.BlobClientGetChunkResponse](t)(c.GetChunk(ctx, "a/b", digest, "bytes=6-11", nil))
	if text := must[[]byte](t)(io.ReadAll(part.ChunkData)); string(text) != "second" {
		t.Errorf("a part of it is %q", text)
	}
}

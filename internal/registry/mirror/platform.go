package mirror

import (
	"bytes"
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/acrux/acrux/internal/registry"
)

// parsePlatform reads the platform that a request may name, OS/ARCHITECTURE[/VARIANT]; nil
// if it names none. Resource Manager knows no such member: it is ours.
func parsePlatform(text string) (*v1.Platform, error) {
	if text == "" {
		return nil, nil
	}
	p, err := v1.ParsePlatform(text)
	if err != nil || p.OS == "" || p.Architecture == "" || p.OSVersion != "" {
		return nil, invalid("source.platform", "The platform '%s' is not OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT.", text).Because(err)
	}
	return p, nil
}

func noPlatform(image, platform string) error {
	return invalid("source.platform", "The image '%s' is not there for the platform %s.", image, platform)
}

// forPlatform is the image that an index has for a platform.
func forPlatform(index []byte, platform *v1.Platform, image string) (v1.Descriptor, error) {
	parsed, err := v1.ParseIndexManifest(bytes.NewReader(index))
	if err != nil {
		return v1.Descriptor{}, invalid("source.sourceImage", "The index of '%s' cannot be read: %v.", image, err)
	}
	for _, child := range parsed.Manifests {
		if child.Platform != nil && child.Platform.Satisfies(*platform) {
			return child, nil
		}
	}
	return v1.Descriptor{}, noPlatform(image, platform.String())
}

// choose goes from the source to the one image of it that was asked for, if one was.
func (f *fetcher) choose(top *remote.Descriptor, opts []remote.Option) (*remote.Descriptor, error) {
	platform, err := parsePlatform(f.order.Source.Platform)
	if err != nil || platform == nil {
		return top, err
	}
	name := f.order.Source.Image.Name()
	if top.MediaType.IsIndex() {
		child, err := forPlatform(top.Manifest, platform, name)
		if err != nil {
			return nil, err
		}
		return remote.Get(f.source.Context().Digest(child.Digest.String()), opts...)
	}
	image, err := top.Image()
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	if p := config.Platform(); p == nil || !p.Satisfies(*platform) {
		return nil, noPlatform(name, platform.String())
	}
	return top, nil
}

// chooseOwn returns the reference of what was asked for in a registry of the installation.
func (m *Imports) chooseOwn(ctx context.Context, from registry.Name, o order) (string, error) {
	image := o.Source.Image
	reference := image.Tag
	if image.Digest != "" {
		reference = image.Digest.String()
	}
	platform, err := parsePlatform(o.Source.Platform)
	if err != nil || platform == nil {
		return reference, err
	}
	top, err := m.Content.Pull(ctx, from, reference)
	if err != nil {
		return "", err
	}
	if top.OS == "" { // an index, or no image of a program
		child, err := forPlatform(top.Body, platform, image.Name())
		return child.Digest.String(), err
	}
	if top.OS != platform.OS || top.Architecture != platform.Architecture {
		return "", noPlatform(image.Name(), platform.String())
	}
	return reference, nil
}

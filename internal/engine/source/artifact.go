package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
)

// Annotations of an artifact's layers: the name of the file (OCI image specification), and
// whether it is a folder that ORAS packed.
const (
	titleAnnotation  = "org.opencontainers.image.title"
	unpackAnnotation = "io.deis.oras.content.unpack"
)

// maxFiles bounds how many files an artifact has.
const maxFiles = 10_000

// artifact pulls all files of an OCI artifact. A layer with a title is the file of that
// name; one that ORAS packed from a folder, or that has no title, is an archive.
func (f *Fetcher) artifact(ctx context.Context, request Request) (Result, error) {
	ref, transport, err := f.reference(request.Context)
	if err != nil {
		return Result{}, err
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithTransport(transport), remote.WithUserAgent("acrux")}
	if request.Credential != nil {
		if credential, ok := request.Credential(hostOf(request.Context)); ok {
			opts = append(opts, remote.WithAuth(&authn.Basic{Username: credential.Username, Password: credential.Password.Reveal()}))
		}
	}
	files, err := f.files(ref, opts)
	if err == nil {
		err = f.pull(ref, files, request.Dir, opts)
	}
	return Result{Dir: request.Dir}, explainPull(ctx, request.Context, err)
}

// hostOf is the host in oci://HOST/REPOSITORY.
func hostOf(text string) string {
	host, _, _ := strings.Cut(text[len("oci://"):], "/")
	return host
}

// reference is where the artifact is to be had, and what connects to that.
func (f *Fetcher) reference(text string) (name.Reference, http.RoundTripper, error) {
	host, rest, _ := strings.Cut(text[len("oci://"):], "/")
	if f.Registries == nil {
		return nil, nil, engine.Failure("artifacts as contexts are not supported here: " + text)
	}
	place := f.Registries.Reading(host)
	var opts []name.Option
	if place.Plain() {
		opts = append(opts, name.Insecure)
	}
	ref, err := name.ParseReference(path.Join(place.Host, place.Path, rest), opts...)
	if err != nil {
		return nil, nil, engine.Failure(fmt.Sprintf("%q is not oci://HOST/REPOSITORY:TAG: %v", text, err))
	}
	transport := f.Registries.HTTP(place).Transport
	if place.Plain() {
		return ref, transport, nil
	}
	return ref, egress.OnlyTLS(ref.Context().RegistryStr(), transport), nil
}

// files are the layers of the artifact, within bounds.
func (f *Fetcher) files(ref name.Reference, opts []remote.Option) ([]v1.Descriptor, error) {
	d, err := remote.Get(ref, opts...)
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(d.Manifest))
	if err != nil || !d.MediaType.IsImage() {
		return nil, engine.Failure(fmt.Sprintf("%s is no artifact with files but has the type %s", ref, d.MediaType))
	}
	left := f.maxBytes()
	for _, layer := range manifest.Layers {
		if left -= layer.Size; layer.Size < 0 || left < 0 || len(manifest.Layers) > maxFiles {
			return nil, engine.Failure(errTooLarge.Error())
		}
	}
	return manifest.Layers, nil
}

func (f *Fetcher) pull(ref name.Reference, files []v1.Descriptor, dir string, opts []remote.Option) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if err := f.pullFile(ref, file, dir, opts); err != nil {
			return err
		}
	}
	return nil
}

// pullFile fetches a layer. What is read is compared with its digest.
func (f *Fetcher) pullFile(ref name.Reference, file v1.Descriptor, dir string, opts []remote.Option) (err error) {
	layer, err := remote.Layer(ref.Context().Digest(file.Digest.String()), opts...)
	if err != nil {
		return err
	}
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	title := file.Annotations[titleAnnotation]
	if title != "" && file.Annotations[unpackAnnotation] != "true" {
		return writeFile(dir, title, content)
	}
	if err := Unpack(content, dir, f.maxBytes()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, content) // to its end, where the digest is compared
	return err
}

func writeFile(dir, title string, content io.Reader) error {
	file := filepath.Clean(filepath.FromSlash(title))
	if !filepath.IsLocal(file) || file == "." {
		return engine.Failure(fmt.Sprintf("the artifact has a file outside of itself: %q", title))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return engine.Failure(fmt.Sprintf("the artifact's file %q cannot be written: %v", title, err))
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// explainPull makes what a registry says a failure of the run.
func explainPull(ctx context.Context, text string, err error) error {
	var refused *transport.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &refused):
		return engine.Failure(fmt.Sprintf("failed to pull %s: %v", text, refused))
	}
	var failure engine.Failure
	if errors.As(err, &failure) || errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrExist) {
		return err
	}
	return engine.Failure(fmt.Sprintf("failed to pull %s: %v", text, err))
}

package clientimage

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// epoch is the time of everything in the image.
var epoch = time.Unix(0, 0).UTC()

// Contents say what is in an image.
type Contents struct {
	Programs   map[string]string // names below usr/local/bin, and where they are on this machine
	Scripts    map[string]string // names there, and their text
	Entrypoint []string
}

// Image is an image of programs. It is not changed after it was made.
type Image struct {
	entries []entry
	diff    digest.Digest // of the layer
	size    int64         // of the layer
	config  []byte
}

// entry is a file of the layer, a script, a link, or a directory, which has none of these.
type entry struct {
	name, source string
	text         string // of a script, which has no source
	target       string // of a link
	size         int64
	mode         int64
}

// New makes an image of programs on this machine and of its shell. It reads the programs
// and what they need once, to know their digest.
func New(c Contents) (*Image, error) {
	i := new(Image)
	if err := i.make(c); err != nil {
		return nil, fmt.Errorf("making an image of %s: %w", strings.Join(c.Entrypoint, " "), err)
	}
	return i, nil
}

// programsDir is where an image has its programs.
const programsDir = "usr/local/bin/"

func (i *Image) make(c Contents) (err error) {
	programs := map[string]string{}
	for name, source := range c.Programs {
		programs[programsDir+name] = source
	}
	links := shell(programs)
	files := map[string]string{}
	for name, source := range programs {
		files[name] = source
		libraries, err := needed(source)
		if err != nil {
			return err
		}
		for _, library := range libraries {
			files[strings.TrimPrefix(filepath.ToSlash(library), "/")] = library
		}
	}
	if err := i.collect(files, links, c.Scripts); err != nil {
		return err
	}
	hash, size := sha256.New(), new(counter)
	if err := i.layer(io.MultiWriter(hash, size)); err != nil {
		return err
	}
	i.size, i.diff = size.n, digest.NewDigest(digest.SHA256, hash)
	i.config, err = json.Marshal(ocispec.Image{
		Created: &epoch, Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config: ocispec.ImageConfig{Entrypoint: c.Entrypoint, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{i.diff}},
	})
	return err
}

// ID is the digest of the image's configuration.
func (i *Image) ID() digest.Digest { return digest.FromBytes(i.config) }

// collect lists files, links and scripts with their directories, in order.
func (i *Image) collect(files, links, scripts map[string]string) error {
	directories := map[string]int64{"tmp": 0o1777, "root": 0o700}
	above := func(name string) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			directories[dir] = 0o755
		}
	}
	for name, target := range links {
		above(name)
		i.entries = append(i.entries, entry{name: name, target: target, mode: 0o777})
	}
	for name, text := range scripts {
		above(programsDir + name)
		i.entries = append(i.entries, entry{name: programsDir + name, text: text, size: int64(len(text)), mode: 0o755})
	}
	for name, source := range files {
		above(name)
		found, info, err := regular(source)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		i.entries = append(i.entries, entry{name: name, source: found, size: info.Size(), mode: 0o755})
	}
	for dir, mode := range directories {
		i.entries = append(i.entries, entry{name: dir + "/", mode: mode})
	}
	slices.SortFunc(i.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return nil
}

// layer writes the layer, without compression.
func (i *Image) layer(w io.Writer) error {
	archive := tar.NewWriter(w)
	for _, e := range i.entries {
		header := &tar.Header{Name: e.name, Linkname: e.target, Mode: e.mode, Size: e.size, ModTime: epoch, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		switch {
		case e.target != "":
			header.Typeflag = tar.TypeSymlink
		case e.source == "" && e.text == "":
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, e.text); err != nil {
			return err
		}
		if e.source == "" {
			continue
		}
		if err := copyFile(archive, e.source); err != nil {
			return err
		}
	}
	return archive.Close()
}

func copyFile(w io.Writer, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

type counter struct{ n int64 }

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// Names of the parts of an archive.
const (
	configName = "config.json"
	layerName  = "layer.tar"
)

// Archive writes the image as docker save does. That the files have changed since New
// shows when the archive is read: the layer has another digest then.
func (i *Image) Archive(w io.Writer) error {
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "Layers": []string{layerName}, "RepoTags": nil}})
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	for _, part := range []struct {
		name  string
		size  int64
		write func(io.Writer) error
	}{
		{configName, int64(len(i.config)), writes(i.config)},
		{layerName, i.size, i.layer},
		{"manifest.json", int64(len(manifest)), writes(manifest)},
	} {
		if err := archive.WriteHeader(&tar.Header{Name: part.name, Mode: 0o644, Size: part.size, ModTime: epoch, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if err := part.write(archive); err != nil {
			return fmt.Errorf("writing an image of programs: %w", err)
		}
	}
	return archive.Close()
}

func writes(text []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(text); return err }
}

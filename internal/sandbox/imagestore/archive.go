package imagestore

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
)

// archiveFiles are the files of an archive of docker save, unpacked under names of our
// own: those in the archive need not be fit for a file system.
type archiveFiles struct {
	dir   string
	files map[string]string // path by name in the archive
	links map[string]string // symbolic ones: older engines have a layer once that occurs twice
}

// archivedImage is an entry of an archive's manifest.json.
type archivedImage struct {
	Config string
	Layers []string
}

// maxJSON bounds what is read of an archive into memory.
const maxJSON = 8 << 20

// unpackArchive unpacks an archive into a directory of its own below root, the
// store's. It is taken away by remove.
func unpackArchive(root string, archive io.Reader) (_ *archiveFiles, err error) {
	root = filepath.Join(root, archives)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(root, "")
	if err != nil {
		return nil, err
	}
	a := &archiveFiles{dir: dir, files: map[string]string{}, links: map[string]string{}}
	defer func() {
		if err != nil {
			a.remove()
		}
	}()
	for entries := tar.NewReader(archive); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			err = a.keep(name, entries)
		case tar.TypeSymlink:
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		}
		if err != nil {
			return nil, err
		}
	}
}

// archives is the directory of a store that archives are unpacked in.
const archives = "archives"

func (a *archiveFiles) keep(name string, content io.Reader) error {
	p := filepath.Join(a.dir, strconv.Itoa(len(a.files)))
	f, err := os.OpenFile(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	a.files[name] = p
	return errors.Join(err, f.Close())
}

// remove takes the files away.
func (a *archiveFiles) remove() error { return os.RemoveAll(a.dir) }

func (a *archiveFiles) open(name string) (*os.File, error) {
	name = path.Clean(name)
	if target, ok := a.links[name]; ok {
		name = target
	}
	p, ok := a.files[name]
	if !ok {
		return nil, fmt.Errorf("the archive has no %s", name)
	}
	return os.Open(p)
}

func (a *archiveFiles) read(name string) ([]byte, error) {
	f, err := a.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err == nil && len(text) > maxJSON {
		err = fmt.Errorf("%s has more than %d bytes", name, maxJSON)
	}
	return text, err
}

// image finds the one image of the archive.
func (a *archiveFiles) image() (archivedImage, error) {
	text, err := a.read("manifest.json")
	if err != nil {
		return archivedImage{}, err
	}
	var all []archivedImage
	if err := json.Unmarshal(text, &all); err != nil {
		return archivedImage{}, fmt.Errorf("reading manifest.json: %w", err)
	}
	if len(all) != 1 {
		return archivedImage{}, fmt.Errorf("the archive has %d images instead of one", len(all))
	}
	return all[0], nil
}

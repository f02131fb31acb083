//go:build linux

package trust

import (
	"errors"
	"fmt"
	"path"
)

// Options say for whom containers are prepared.
type Options struct {
	Environ []string // of the container's program (K=V)
	// Registries are those whose certificates docker, podman and others look for by host.
	Registries []string
	// Image is whether the file system becomes part of an image: then nothing is done that
	// Undo could not take back after whatever the container does.
	Image bool
}

// Where our own files are in containers.
const (
	nodeBundle = "/etc/ssl/acrux.pem" // not where rehash would make links to it
	certsD     = "/etc/docker/certs.d"
)

// Installed is what was changed in a container's file system.
type Installed struct {
	// Environ are variables (K=V) for the container's program, none of which it has.
	Environ []string

	authority Authority
	tree      *tree
}

// Install adds the authority to the file system at root, in which nothing runs yet. It follows
// no link out of there. The caller has the rights of the container's root.
func (a Authority) Install(root string, o Options) (*Installed, error) {
	i := &Installed{authority: a, tree: &tree{root: root}}
	if a.Empty() {
		return i, nil
	}
	err := i.install(o)
	if err != nil {
		err = errors.Join(fmt.Errorf("adding the authority of this installation to a container: %w", err), i.Undo())
	}
	return i, err
}

func (i *Installed) install(o Options) error {
	bundle, err := i.addToBundles(o)
	if err != nil {
		return err
	}
	if err := i.addSingle(); err != nil {
		return err
	}
	if _, err := i.tree.create(nodeBundle, i.authority.text); err != nil {
		return err
	}
	if !o.Image {
		if err := i.addByHost(o.Registries); err != nil {
			return err
		}
	}
	i.say(o.Environ, nodeFile, nodeBundle)
	if bundle == "" && !o.Image {
		made, err := i.tree.create(usualBundles[0], i.authority.text)
		if err != nil || !made {
			return err
		}
		i.say(o.Environ, opensslFile, usualBundles[0])
	} else if bundle != "" {
		i.say(o.Environ, requestsFile, bundle)
		i.say(o.Environ, curlFile, bundle)
	}
	return nil
}

// say sets a variable, unless there is one.
func (i *Installed) say(environ []string, name, file string) {
	if value(environ, name) == "" {
		i.Environ = append(i.Environ, name+"="+file)
	}
}

// addToBundles adds to all bundles, and returns the first of those that are the system's.
func (i *Installed) addToBundles(o Options) (system string, err error) {
	files := bundles(o.Environ)
	named := len(files) - len(usualBundles)
	for n, file := range files {
		content, err := i.tree.read(file)
		if err != nil {
			return "", err
		}
		if !isBundle(content) {
			continue
		}
		if _, has := i.authority.taken(content); !has {
			if err := i.tree.replace(file, i.authority.added(content)); err != nil {
				return "", err
			}
		}
		if n >= named && system == "" {
			system = file
		}
	}
	return system, nil
}

// addSingle puts each certificate in a file of its own, by OpenSSL's names. Where there is no
// directory for that, the first is made: programs look there as well.
func (i *Installed) addSingle() error {
	var dirs []string
	for _, dir := range single {
		if i.tree.isDir(dir) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		dirs = single[:1]
	}
	for _, dir := range dirs {
		for _, cert := range i.authority.certs {
			name, err := hashName(cert)
			if err != nil {
				return err
			}
			if err := i.createNumbered(path.Join(dir, name), encode(cert)); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxSame is how many certificates of one subject are looked at.
const maxSame = 16

// createNumbered makes a file with the first number that is free, unless there is one with
// that content: two directories may be one.
func (i *Installed) createNumbered(name string, content []byte) error {
	for n := range maxSame {
		file := fmt.Sprintf("%s.%d", name, n)
		made, err := i.tree.create(file, content)
		if err != nil || made {
			return err
		}
		if has, err := i.tree.read(file); err != nil || string(has) == string(content) {
			return err
		}
	}
	return nil
}

// addByHost adds to where docker and podman look for the authority of one registry.
func (i *Installed) addByHost(registries []string) error {
	for _, host := range registries {
		if _, err := i.tree.create(path.Join(certsD, host, "ca.crt"), i.authority.text); err != nil {
			return err
		}
	}
	return nil
}

// Undo takes out what was added, once nothing runs in the container any more. Bundles are what
// the image or the container made of them.
func (i *Installed) Undo() error { return i.tree.undo(i.authority) }

package engine

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Options that the kinds of cache take, by flag and kind.
var cacheOptions = map[string]map[string][]string{
	"--cache-from": {"registry": {"ref"}},
	"--cache-to": {
		"registry": {"ref", "mode", "compression", "compression-level", "force-compression", "oci-mediatypes", "image-manifest", "ignore-error"},
		"inline":   {},
	},
}

// caches reads what --cache-from or --cache-to name. An image alone is the cache that
// it carries.
func caches(flag string, entries []string) ([]Cache, error) {
	var found []Cache
	for _, entry := range entries {
		if !strings.Contains(entry, "=") {
			entry = "type=registry,ref=" + entry
		}
		cache := Cache{Options: map[string]string{}}
		for field := range strings.SplitSeq(entry, ",") {
			key, value, _ := strings.Cut(field, "=")
			if key == "type" {
				cache.Kind = value
				continue
			}
			cache.Options[key] = value
		}
		if err := cache.check(flag, entry); err != nil {
			return nil, err
		}
		found = append(found, cache)
	}
	return found, nil
}

func (c *Cache) check(flag, entry string) error {
	allowed, known := cacheOptions[flag][c.Kind]
	if !known {
		return Failure(fmt.Sprintf("the option %s %s is not supported: a cache is kept in a registry (type=registry,ref=IMAGE)", flag, entry))
	}
	for key := range c.Options {
		if !slices.Contains(allowed, key) {
			return Failure(fmt.Sprintf("unexpected key %q in the option %s %s", key, flag, entry))
		}
	}
	if c.Kind == "registry" && c.Options["ref"] == "" {
		return Failure(fmt.Sprintf("the option %s %s needs ref=IMAGE", flag, entry))
	}
	return nil
}

// contexts reads --build-context NAME=…: an image, or a folder of the workspace.
func (r *Run) contexts(dir string, entries []string) (map[string]string, error) {
	found := map[string]string{}
	for _, entry := range entries {
		name, source, ok := strings.Cut(entry, "=")
		switch {
		case !ok || name == "" || source == "":
			return nil, Failure(fmt.Sprintf("invalid argument %q for \"--build-context\" flag: expected NAME=SOURCE", entry))
		case strings.HasPrefix(source, "docker-image://"):
			found[name] = source
		case strings.Contains(source, "://") || strings.HasPrefix(source, "git@"):
			return nil, Failure(fmt.Sprintf("the option --build-context %s is not supported: it may be an image (docker-image://…) or a folder", entry))
		default:
			folder, err := workspace(r.Workspace).directory(inStep(dir, path.Clean(source)))
			if err != nil {
				return nil, Failure(fmt.Sprintf("failed to get build context %s: %s: no such directory", name, source))
			}
			found[name] = folder
		}
	}
	return found, nil
}

// keySource reads one --ssh: NAME=FILE, or default=FILE. An agent that runs elsewhere
// is nowhere to be found in a run.
func keySource(option string) (id, file string, err error) {
	id, file, _ = strings.Cut(option, "=")
	if id == "" || file == "" || strings.Contains(file, ",") {
		return "", "", Failure(fmt.Sprintf("the option --ssh %s needs the file of a private key: default=FILE", option))
	}
	return id, file, nil
}

package clientimage

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// usualDirectories are where loaders look for libraries, beside what ld.so.conf names.
var usualDirectories = []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// needed lists the files that a program needs to run, by the names it knows them by,
// without the program itself. No program is run to find out.
func needed(program string) ([]string, error) {
	c := &collector{seen: map[string]bool{}}
	interpreter, err := c.visit(program)
	if err != nil || interpreter == "" {
		return nil, err
	}
	c.add(interpreter)
	slices.Sort(c.files)
	return c.files, nil
}

type collector struct {
	directories []string
	seen        map[string]bool
	files       []string
}

func (c *collector) add(file string) {
	if !c.seen[file] {
		c.seen[file] = true
		c.files = append(c.files, file)
	}
}

// visit notes the libraries of a file, and those of these.
func (c *collector) visit(file string) (interpreter string, err error) {
	binary, err := elf.Open(file)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", file, err)
	}
	defer binary.Close()
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP {
			text := make([]byte, segment.Filesz)
			if _, err := segment.ReadAt(text, 0); err != nil {
				return "", fmt.Errorf("reading %s: %w", file, err)
			}
			interpreter = strings.TrimRight(string(text), "\x00")
		}
	}
	libraries, err := binary.ImportedLibraries()
	if err != nil {
		return "", fmt.Errorf("reading the libraries of %s: %w", file, err)
	}
	for _, name := range libraries {
		found, err := c.find(name, binary.Machine, binary.Class)
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		if c.seen[found] {
			continue
		}
		c.add(found)
		if _, err := c.visit(found); err != nil {
			return "", err
		}
	}
	return interpreter, nil
}

// find finds a library for the machine.
func (c *collector) find(name string, machine elf.Machine, class elf.Class) (string, error) {
	if c.directories == nil {
		c.directories = append(configured("/etc/ld.so.conf", 0), usualDirectories...)
	}
	for _, dir := range c.directories {
		path := filepath.Join(dir, name)
		binary, err := elf.Open(path)
		if err != nil {
			continue
		}
		fits := binary.Machine == machine && binary.Class == class
		binary.Close()
		if fits {
			return path, nil
		}
	}
	return "", fmt.Errorf("the library %s was not found", name)
}

// maxIncludes bounds how deep configurations include each other.
const maxIncludes = 4

// configured reads the directories that a configuration of the loader names. What cannot
// be read names none.
func configured(file string, depth int) []string {
	text, err := os.ReadFile(file)
	if err != nil || depth > maxIncludes {
		return nil
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if pattern, ok := strings.CutPrefix(line, "include "); ok {
			files, _ := filepath.Glob(strings.TrimSpace(pattern)) // a bad pattern has none
			for _, one := range files {
				dirs = append(dirs, configured(one, depth+1)...)
			}
			continue
		}
		if filepath.IsAbs(line) {
			dirs = append(dirs, line)
		}
	}
	return dirs
}

// regular follows a path to an ordinary file.
func regular(path string) (string, fs.FileInfo, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", nil, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not an ordinary file")
	}
	return path, info, err
}

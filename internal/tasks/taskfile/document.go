package taskfile

import (
	"errors"
	"fmt"
	"regexp"
	"sort"

	"gopkg.in/yaml.v2"
)

// document is the shape of a task file. Unknown keys are ignored and the last of
// two equal keys counts, as yaml.v2 does it.
type document struct {
	Version          *string           `yaml:"version"`
	StepTimeout      int               `yaml:"stepTimeout"`
	WorkingDirectory string            `yaml:"workingDirectory"`
	Env              []string          `yaml:"env"`
	Secrets          []*secretDocument `yaml:"secrets"`
	Networks         []networkDocument `yaml:"networks"`
	Volumes          []volumeDocument  `yaml:"volumes"`
	Steps            []*stepDocument   `yaml:"steps"`
}

type secretDocument struct {
	ID       string `yaml:"id"`
	KeyVault string `yaml:"keyvault"`
	ClientID string `yaml:"clientID"`
}

type networkDocument struct {
	Name         string `yaml:"name"`
	Driver       string `yaml:"driver"`
	IPv6         bool   `yaml:"ipv6"`
	SkipCreation bool   `yaml:"skipCreation"`
	IsDefault    bool   `yaml:"isDefault"`
}

type volumeDocument struct {
	Name   string            `yaml:"name"`
	Secret map[string]string `yaml:"secret"`
}

type mountDocument struct {
	Name      string `yaml:"name"`
	MountPath string `yaml:"mountPath"`
}

type stepDocument struct {
	ID                              string          `yaml:"id"`
	Cmd                             string          `yaml:"cmd"`
	Build                           string          `yaml:"build"`
	Push                            []string        `yaml:"push"`
	Timeout                         int             `yaml:"timeout"`
	StartDelay                      int             `yaml:"startDelay"`
	Retries                         int             `yaml:"retries"`
	RetryDelay                      int             `yaml:"retryDelay"`
	RetryOnErrors                   []string        `yaml:"retryOnErrors"`
	Repeat                          int             `yaml:"repeat"`
	When                            []string        `yaml:"when"`
	IgnoreErrors                    bool            `yaml:"ignoreErrors"`
	WorkingDirectory                string          `yaml:"workingDirectory"`
	DisableWorkingDirectoryOverride bool            `yaml:"disableWorkingDirectoryOverride"`
	EntryPoint                      string          `yaml:"entryPoint"`
	Env                             []string        `yaml:"env"`
	User                            string          `yaml:"user"`
	Network                         networkName     `yaml:"network"`
	Isolation                       string          `yaml:"isolation"`
	CPUs                            string          `yaml:"cpus"`
	Ports                           []string        `yaml:"ports"`
	Expose                          []string        `yaml:"expose"`
	Privileged                      bool            `yaml:"privileged"`
	Detach                          bool            `yaml:"detach"`
	Keep                            bool            `yaml:"keep"`
	Pull                            bool            `yaml:"pull"`
	CmdDownloadRetries              int             `yaml:"cmdDownloadRetries"`
	CmdDownloadRetryDelay           int             `yaml:"cmdDownloadRetryDelay"`
	Cache                           string          `yaml:"cache"`
	VolumeMounts                    []mountDocument `yaml:"volumeMounts"`
}

// networkName is a name, or a mapping that has one: the documentation calls it an object.
type networkName string

// UnmarshalYAML implements yaml.Unmarshaler.
func (n *networkName) UnmarshalYAML(unmarshal func(any) error) error {
	var object struct {
		Name string `yaml:"name"`
	}
	if err := unmarshal(&object); err == nil {
		*n = networkName(object.Name)
		return nil
	}
	return unmarshal((*string)(n))
}

func parseDocument(text string) (*document, error) {
	var doc document
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	for i, step := range doc.Steps {
		if step == nil {
			doc.Steps[i] = &stepDocument{}
		}
	}
	return &doc, nil
}

// check applies the rules for secrets, volumes and the names of mounts.
func (d *document) check() error {
	if err := d.checkSecrets(); err != nil {
		return err
	}
	volumes, err := d.checkVolumes()
	if err != nil {
		return err
	}
	for _, step := range d.Steps {
		for _, mount := range step.VolumeMounts {
			if !volumes[mount.Name] {
				return fmt.Errorf("mount name, %s, does not correspond to a volume", mount.Name)
			}
		}
	}
	return nil
}

var (
	volumeNames = regexp.MustCompile(`^[a-zA-Z0-9-_]+$`)
	fileNames   = regexp.MustCompile(`^[a-zA-Z0-9-_.]+$`)
)

func (d *document) checkVolumes() (names map[string]bool, err error) {
	names = map[string]bool{}
	for _, volume := range d.Volumes {
		if err := volume.check(); err != nil {
			return nil, err
		}
		if names[volume.Name] {
			return nil, errors.New("volume with duplicate name found")
		}
		names[volume.Name] = true
	}
	return names, nil
}

func (v *volumeDocument) check() error {
	switch {
	case v.Name == "":
		return errors.New("volume name is empty")
	case !volumeNames.MatchString(v.Name):
		return errors.New("volume name is not well formed. Only use alphanumeric and - _")
	case v.Secret == nil:
		return errors.New("currently only support for source type secret")
	case len(v.Secret) == 0:
		return errors.New("secret is empty")
	}
	files := make([]string, 0, len(v.Secret))
	for name := range v.Secret {
		files = append(files, name)
	}
	sort.Strings(files) // so that the same file always gives the same error
	for _, name := range files {
		// "." and ".." match the pattern but are no names of files.
		if name == "" {
			return errors.New("secret name provided for value is empty")
		}
		if !fileNames.MatchString(name) || name == "." || name == ".." {
			//lint:ignore ST1005 the runner's words
			return fmt.Errorf("file name, %s, is not well formed. Only use alphanumeric and - _ .", name)
		}
	}
	return nil
}

package taskfile

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"gopkg.in/yaml.v2"
)

// document is the shape of a task file, and the one table of its keys: Keys reads the
// tags. "about" says what a key is for, "kinds" names the kinds of step where it has
// an effect (all without it), "words" the values that are possible, "form" the pattern of
// a value or of a mapping's names, "min" the least number, and "was" what people write
// instead, some of it from documentation.
//
// Unknown keys are ignored and the last of two equal keys counts, as yaml.v2 does it.
type document struct {
	Version          *string           `yaml:"version" words:"v1.1.0 v1.0.0 1.0-preview-1" about:"v1.1.0 to have aliases; v1.0.0 without it"`
	StepTimeout      int               `yaml:"stepTimeout" about:"seconds: the timeout of steps that have none; 600 without it" was:"timeout"`
	WorkingDirectory string            `yaml:"workingDirectory" about:"the working directory of steps that have none, relative to /workspace"`
	Env              []string          `yaml:"env" about:"variables of every step: NAME=VALUE"`
	Secrets          []*secretDocument `yaml:"secrets" about:"secrets of key vaults, for templates: {{.Secrets.ID}}"`
	Networks         []networkDocument `yaml:"networks" about:"networks of the run; one without it"`
	Volumes          []volumeDocument  `yaml:"volumes" about:"volumes with files, for volumeMounts"`
	Steps            []*stepDocument   `yaml:"steps" about:"what is done"`

	waits map[string][]string // for way
}

type secretDocument struct {
	ID       string `yaml:"id" form:"[^\\s]+" about:"name for {{.Secrets.ID}}, required"`
	KeyVault string `yaml:"keyvault" about:"URL of the secret, required: https://VAULT/secrets/NAME[/VERSION]"`
	ClientID string `yaml:"clientID" about:"client ID of a user-assigned identity of the task; without it the system-assigned one asks"`
}

type networkDocument struct {
	Name         string `yaml:"name" about:"name, required"`
	Driver       string `yaml:"driver" about:"driver of the network"`
	IPv6         bool   `yaml:"ipv6" about:"whether the network has IPv6"`
	SkipCreation bool   `yaml:"skipCreation" about:"whether the network is there already"`
	IsDefault    bool   `yaml:"isDefault" about:"whether steps without a network are in this one; the last such counts"`
}

type volumeDocument struct {
	Name   string            `yaml:"name" form:"[a-zA-Z0-9_-]+" about:"name, required: letters, digits, - and _"`
	Secret map[string]string `yaml:"secret" form:"[a-zA-Z0-9_.-]+" about:"files by name, required; each value is the content in Base64"`
}

type mountDocument struct {
	Name      string `yaml:"name" about:"name of a volume, required"`
	MountPath string `yaml:"mountPath" about:"directory in the container, required" was:"path"`
}

type stepDocument struct {
	ID                              string          `yaml:"id" form:"[^\\s]+" about:"name of the step, of its container and on its network; acb_step_N without it" was:"name"`
	Cmd                             string          `yaml:"cmd" about:"an image and its arguments, behind options of docker run if there are any" was:"command run"`
	Build                           string          `yaml:"build" about:"arguments of docker build"`
	Push                            []string        `yaml:"push" about:"images to push"`
	Timeout                         int             `yaml:"timeout" about:"seconds for all attempts and repetitions together; stepTimeout without it" was:"stepTimeout"`
	StartDelay                      int             `yaml:"startDelay" about:"seconds to wait before the step"`
	Retries                         int             `yaml:"retries" min:"0" kinds:"cmd build" about:"how often a failed step is tried again"`
	RetryDelay                      int             `yaml:"retryDelay" kinds:"cmd build" about:"seconds between attempts; 5 without it"`
	RetryOnErrors                   []string        `yaml:"retryOnErrors" kinds:"cmd build" about:"try again only if the output has one of these texts"`
	Repeat                          int             `yaml:"repeat" min:"0" kinds:"cmd build" about:"how often the step is done again, failed or not"`
	When                            []string        `yaml:"when" about:"steps to wait for, which come earlier in the file; [\"-\"] waits for nothing; the step above without it" was:"dependsOn depends_on needs"`
	IgnoreErrors                    bool            `yaml:"ignoreErrors" about:"whether the run goes on when the step fails"`
	WorkingDirectory                string          `yaml:"workingDirectory" kinds:"cmd build" about:"working directory, relative to /workspace" was:"workDir"`
	DisableWorkingDirectoryOverride bool            `yaml:"disableWorkingDirectoryOverride" kinds:"cmd build" about:"whether the image's own working directory counts"`
	EntryPoint                      string          `yaml:"entryPoint" kinds:"cmd" about:"entry point instead of the image's"`
	Env                             []string        `yaml:"env" kinds:"cmd build" about:"variables: NAME=VALUE; for a build those of the build's client" was:"environment"`
	User                            string          `yaml:"user" kinds:"cmd build" about:"user, or user:group, in the container"`
	Network                         networkName     `yaml:"network" kinds:"cmd build" about:"a network of the task, host, none, or container:ID"`
	Isolation                       string          `yaml:"isolation" kinds:"cmd build" about:"isolation of the container"`
	CPUs                            string          `yaml:"cpus" kinds:"cmd build" about:"how many CPUs the container may use" was:"cpu"`
	Ports                           []string        `yaml:"ports" kinds:"cmd build" about:"ports to publish: OUTSIDE:INSIDE"`
	Expose                          []string        `yaml:"expose" kinds:"cmd build" about:"ports to expose"`
	Privileged                      bool            `yaml:"privileged" kinds:"cmd build" about:"whether the container is privileged"`
	Detach                          bool            `yaml:"detach" kinds:"cmd build" about:"whether the step ends when the container has started"`
	Keep                            bool            `yaml:"keep" kinds:"cmd build" about:"whether the container stays until the run ends"`
	Pull                            bool            `yaml:"pull" kinds:"cmd" about:"whether the image is pulled even if it is there"`
	CmdDownloadRetries              int             `yaml:"cmdDownloadRetries" kinds:"cmd" about:"how often that pull is tried again" was:"downloadRetries"`
	CmdDownloadRetryDelay           int             `yaml:"cmdDownloadRetryDelay" kinds:"cmd" about:"seconds between those" was:"downloadRetryDelay"`
	Cache                           string          `yaml:"cache" kinds:"build" words:"enabled disabled" about:"whether the layers of a build are kept in the registry"`
	VolumeMounts                    []mountDocument `yaml:"volumeMounts" kinds:"cmd build" about:"volumes in the container; refused for push" was:"mounts volumes"`
	ExitedWith                      []int           `yaml:"exitedWith" kinds:"none" about:"accepted, without effect"`
	ExitedWithout                   []int           `yaml:"exitedWithout" kinds:"none" about:"accepted, without effect"`

	own int // of Env are the step's own; others are the task's
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

// parseDocument reads a document. Beside an error about values of the wrong type it
// returns what had the right one.
func parseDocument(text sourced) (*document, error) {
	if err := checkSize(text.text); err != nil {
		return nil, err
	}
	var doc document
	err := yaml.Unmarshal([]byte(text.text), &doc)
	if err != nil {
		err = text.yamlError(shortened(err), err)
		if !errors.As(err, new(*yaml.TypeError)) {
			return nil, err
		}
	}
	if len(doc.Steps) > maxSteps {
		return nil, tooLarge(fmt.Sprintf("the file has %d steps; at most %d are possible", len(doc.Steps), maxSteps))
	}
	for i, step := range doc.Steps {
		if step == nil {
			doc.Steps[i] = &stepDocument{}
		}
	}
	return &doc, err
}

// check applies the rules for secrets, volumes and the names of mounts.
func (d *document) check(found *findings) {
	d.checkSecrets(found)
	volumes := d.checkVolumes(found)
	for i, step := range d.Steps {
		for j, mount := range step.VolumeMounts {
			if !volumes[mount.Name] {
				found.add(keyPath("steps").item(i).key("volumeMounts").item(j).key("name"),
					fmt.Errorf("mount name, %s, does not correspond to a volume", mount.Name)).among(mount.Name, words(slices.Sorted(maps.Keys(volumes))...))
			}
		}
	}
}

var (
	volumeNames = regexp.MustCompile(`^[a-zA-Z0-9-_]+$`)
	fileNames   = regexp.MustCompile(`^[a-zA-Z0-9-_.]+$`)
)

func (d *document) checkVolumes(found *findings) map[string]bool {
	names := map[string]bool{}
	for i, volume := range d.Volumes {
		at := keyPath("volumes").item(i)
		volume.check(at, found)
		if names[volume.Name] && volume.Name != "" {
			found.add(at.key("name"), errors.New("volume with duplicate name found"))
		}
		names[volume.Name] = true
	}
	return names
}

func (v *volumeDocument) check(at keyPath, found *findings) {
	switch {
	case v.Name == "":
		found.add(at, errors.New("volume name is empty"))
	case !volumeNames.MatchString(v.Name):
		found.add(at.key("name"), errors.New("volume name is not well formed. Only use alphanumeric and - _"))
	}
	switch {
	case v.Secret == nil:
		found.add(at, errors.New("currently only support for source type secret"))
	case len(v.Secret) == 0:
		found.add(at.key("secret"), errors.New("secret is empty"))
	}
	// Sorted, so that the same file always gives the same error.
	for _, name := range slices.Sorted(maps.Keys(v.Secret)) {
		// "." and ".." match the pattern but are no names of files.
		if name == "" {
			found.add(at.key("secret"), errors.New("secret name provided for value is empty"))
		} else if !fileNames.MatchString(name) || name == "." || name == ".." {
			//lint:ignore ST1005 the runner's words
			found.add(at.key("secret").key(name), fmt.Errorf("file name, %s, is not well formed. Only use alphanumeric and - _ .", name))
		}
	}
}

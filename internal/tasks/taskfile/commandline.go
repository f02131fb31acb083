package taskfile

import "strings"

// CommandLine is the line of a cmd or build step that a shell reads. It is the one
// definition of what a step means: the engine reads it as the shell and docker would. What
// is data – a variable, a directory, a name – is one word of it, whatever it consists of.
func (s *Step) CommandLine(sharedVolume string) string {
	return s.line(sharedVolume, func(o option) string { return s.Word(o.value) })
}

// ReferenceLine is the line as Azure's runner puts it together, with a blank between its
// parts and no quotes: its shell takes data apart that has no quotes of its own.
func (s *Step) ReferenceLine(sharedVolume string) string {
	return s.line(sharedVolume, func(o option) string { return o.value })
}

func (s *Step) line(sharedVolume string, word func(option) string) string {
	words := []string{"docker run"}
	for _, o := range s.options(sharedVolume) {
		words = append(words, o.name)
		if !o.flag {
			words = append(words, word(o))
		}
	}
	return strings.Join(append(words, s.client()), " ")
}

// option is an option of docker run, with the property of a step that it comes from.
type option struct {
	name, value string
	flag        bool // it has no value
	key         keyPath
}

// options are those of the step's container, in the runner's order.
func (s *Step) options(sharedVolume string) []option {
	var o options
	o.flag(!s.Keep, "--rm")
	o.flag(s.Detach, "--detach")
	o.list("ports", "-p", s.Ports)
	o.list("expose", "--expose", s.Expose)
	o.flag(s.Privileged, "--privileged")
	o.add("user", "--user", s.User)
	o.add("network", "--network", s.Network)
	o.add("isolation", "--isolation", s.Isolation)
	o.add("cpus", "--cpus", s.CPUs)
	if s.Kind == KindCmd {
		o.add("entryPoint", "--entrypoint", s.EntryPoint)
	}
	o.add("id", "--name", s.ID)
	o.list("", "--volume", []string{sharedVolume + ":" + WorkspaceDir, dockerSocket + ":" + dockerSocket, homeVolume + ":" + HomeDir})
	for i, mount := range s.Mounts {
		o.add(keyPath("volumeMounts").item(i).key("mountPath"), "--volume", mount.Volume+":"+mount.Path)
	}
	o.add("", "--env", "HOME="+HomeDir)
	o.list("env", "--env", s.Env)
	if s.Kind == KindBuild && !s.Build.BuildKit && !s.Build.Cached {
		o.add("", "--env", "DOCKER_BUILDKIT=0")
	}
	o.add("workingDirectory", "--workdir", s.Workdir())
	return o
}

type options []option

func (o *options) flag(on bool, name string) {
	if on {
		*o = append(*o, option{name: name, flag: true})
	}
}

// add leaves out what is empty.
func (o *options) add(key keyPath, name, value string) {
	if value != "" {
		*o = append(*o, option{name: name, value: value, key: key})
	}
}

func (o *options) list(key keyPath, name string, values []string) {
	for i, value := range values {
		if key == "" {
			o.add("", name, value)
		} else {
			o.add(key.item(i), name, value)
		}
	}
}

// client is the image and what follows it.
func (s *Step) client() string {
	switch {
	case s.Kind == KindCmd:
		return s.Cmd
	case s.Build.Cached:
		return "buildx build " + s.Build.localText()
	}
	return "docker build " + s.Build.localText()
}

package taskfile

import "strings"

// CommandLine is the line that Azure's runner gives to its shell for a cmd or
// build step. It is the one definition of what a step means: the engine reads it
// as the shell and docker would.
func (s *Step) CommandLine(sharedVolume string) string {
	words := []string{"docker run"}
	flag := func(on bool, name string) {
		if on {
			words = append(words, name)
		}
	}
	option := func(name string, values ...string) {
		for _, value := range values {
			if value != "" {
				words = append(words, name, value)
			}
		}
	}
	flag(!s.Keep, "--rm")
	flag(s.Detach, "--detach")
	option("-p", s.Ports...)
	option("--expose", s.Expose...)
	flag(s.Privileged, "--privileged")
	option("--user", s.User)
	option("--network", s.Network)
	option("--isolation", s.Isolation)
	option("--cpus", s.CPUs)
	if s.Kind == KindCmd {
		option("--entrypoint", s.EntryPoint)
	}
	option("--name", s.ID)
	option("--volume", sharedVolume+":"+WorkspaceDir, dockerSocket+":"+dockerSocket, homeVolume+":"+HomeDir)
	for _, mount := range s.Mounts {
		option("--volume", mount.Volume+":"+mount.Path)
	}
	option("--env", "HOME="+HomeDir)
	option("--env", s.Env...)
	if s.Kind == KindBuild && !s.Build.BuildKit && !s.Build.Cached {
		option("--env", "DOCKER_BUILDKIT=0")
	}
	option("--workdir", s.Workdir())
	return strings.Join(append(words, s.client()), " ")
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

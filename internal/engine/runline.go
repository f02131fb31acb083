package engine

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// runLine is a "docker run" line, read.
type runLine struct {
	remove, detach, privileged, tty, interactive  bool
	ports, expose, hosts, env, volumes            []string
	user, network, isolation, cpus, memory        string
	entrypoint, name, workdir, pull, platform     string
	labels, longForm, envFiles, aliases, security []string
	tmpfs, ulimits, capAdd, capDrop, groups       []string
	hostname, cpuset, shmSize, swap, reservation  string
	restart, logDriver                            string
	init, readOnly, quiet, proxySignals, healthy  bool
	shares                                        uint64
	pids                                          int64

	entrypointSet bool
	image         string
	args          []string
}

// parseRunLine reads the line of a step as the shell and docker's client would.
func parseRunLine(line string) (*runLine, error) {
	words, err := shellWords(line)
	if err != nil {
		return nil, err
	}
	if len(words) < 2 || words[0] != "docker" || words[1] != "run" {
		return nil, fmt.Errorf("a step's line does not begin with docker run: %q", line)
	}
	run := new(runLine)
	flags := run.flags()
	if err := parseFlags(flags, words[2:]); err != nil {
		return nil, err
	}
	run.entrypointSet = flags.Changed("entrypoint")
	if flags.NArg() == 0 || flags.Arg(0) == "" {
		return nil, Failure("the command names no image")
	}
	run.image, run.args = flags.Arg(0), flags.Args()[1:]
	return run, nil
}

// flags declares the options of docker run: those we know, and those we refuse.
func (r *runLine) flags() *pflag.FlagSet {
	flags := newFlags("docker run", false)
	flags.BoolVar(&r.remove, "rm", false, "")
	flags.BoolVarP(&r.detach, "detach", "d", false, "")
	flags.BoolVar(&r.privileged, "privileged", false, "")
	flags.BoolVarP(&r.tty, "tty", "t", false, "")
	flags.BoolVarP(&r.interactive, "interactive", "i", false, "")
	flags.StringArrayVarP(&r.ports, "publish", "p", nil, "")
	flags.StringArrayVar(&r.expose, "expose", nil, "")
	flags.StringArrayVar(&r.hosts, "add-host", nil, "")
	flags.StringArrayVarP(&r.env, "env", "e", nil, "")
	flags.StringArrayVarP(&r.volumes, "volume", "v", nil, "")
	flags.StringArrayVarP(&r.labels, "label", "l", nil, "") // nothing here shows a container's labels
	flags.StringVarP(&r.user, "user", "u", "", "")
	flags.StringVar(&r.network, "network", "", "")
	flags.StringVar(&r.network, "net", "", "")
	flags.StringVar(&r.isolation, "isolation", "", "")
	flags.StringVar(&r.cpus, "cpus", "", "")
	flags.StringVarP(&r.memory, "memory", "m", "", "")
	flags.StringVar(&r.entrypoint, "entrypoint", "", "")
	flags.StringVar(&r.name, "name", "", "")
	flags.StringVarP(&r.workdir, "workdir", "w", "", "")
	flags.StringVar(&r.pull, "pull", "", "")
	flags.StringVar(&r.platform, "platform", "", "")
	flags.StringArrayVar(&r.longForm, "mount", nil, "")
	flags.StringArrayVar(&r.envFiles, "env-file", nil, "")
	flags.StringArrayVar(&r.aliases, "network-alias", nil, "")
	flags.StringArrayVar(&r.aliases, "net-alias", nil, "")
	flags.StringArrayVar(&r.security, "security-opt", nil, "")
	flags.StringArrayVar(&r.tmpfs, "tmpfs", nil, "")
	flags.StringArrayVar(&r.ulimits, "ulimit", nil, "")
	flags.StringArrayVar(&r.capAdd, "cap-add", nil, "")
	flags.StringArrayVar(&r.capDrop, "cap-drop", nil, "")
	flags.StringArrayVar(&r.groups, "group-add", nil, "")
	flags.StringVarP(&r.hostname, "hostname", "h", "", "")
	flags.StringVar(&r.cpuset, "cpuset-cpus", "", "")
	flags.StringVar(&r.shmSize, "shm-size", "", "")
	flags.StringVar(&r.swap, "memory-swap", "", "")
	flags.StringVar(&r.reservation, "memory-reservation", "", "")
	flags.StringVar(&r.restart, "restart", "", "")
	flags.StringVar(&r.logDriver, "log-driver", "", "")
	flags.BoolVar(&r.init, "init", false, "")
	flags.BoolVar(&r.readOnly, "read-only", false, "")
	flags.Uint64VarP(&r.shares, "cpu-shares", "c", 0, "")
	flags.Int64Var(&r.pids, "pids-limit", 0, "")
	// These change nothing here: a run shows no progress of pulls, nobody presses keys,
	// and no health is watched.
	flags.BoolVarP(&r.quiet, "quiet", "q", false, "")
	flags.BoolVar(&r.proxySignals, "sig-proxy", true, "")
	flags.BoolVar(&r.healthy, "no-healthcheck", false, "")
	refuse(flags, "docker run", "annotation", "attach=a", "blkio-weight", "cgroup-parent", "cgroupns",
		"cidfile", "cpu-count", "cpu-percent", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime",
		"cpuset-mems", "detach-keys", "device", "device-cgroup-rule", "device-read-bps", "device-read-iops",
		"device-write-bps", "device-write-iops", "!disable-content-trust", "dns", "dns-option", "dns-search", "domainname",
		"gpus", "health-cmd", "health-interval", "health-retries", "health-start-period", "health-timeout", "!help",
		"ip", "ip6", "ipc", "kernel-memory", "label-file", "link", "link-local-ip", "log-opt", "mac-address",
		"memory-swappiness", "!oom-kill-disable", "oom-score-adj", "pid", "!publish-all=P", "runtime",
		"stop-signal", "stop-timeout", "storage-opt", "sysctl", "userns", "uts", "volume-driver", "volumes-from")
	return flags
}

// clients are images that Azure's agents have ready, beside docker's client, and that
// nobody else has.
var clients = map[string]bool{"buildx": true, "acb": true}

// command makes what an Executor runs of the line. read reads a file of the workspace.
func (r *runLine) command(plan *taskfile.Plan, read func(file string) ([]byte, error)) (Command, error) {
	if clients[r.image] {
		return Command{}, Failure(fmt.Sprintf("cmd: %s %s is not supported: agents do not have this image; docker they have", r.image, strings.Join(r.args, " ")))
	}
	command := Command{
		Name: r.name, Image: r.image, Args: r.args, Env: environment(r.env), WorkingDir: r.workdir, User: r.user,
		Network: r.network, Privileged: r.privileged, Detach: r.detach, Keep: !r.remove, TTY: r.tty,
		Ports: r.ports, Expose: r.expose, Hosts: r.hosts, Aliases: r.aliases,
		Options: Options{
			Hostname: r.hostname, Init: r.init, ReadOnly: r.readOnly, Tmpfs: r.tmpfs, Ulimits: r.ulimits,
			CapAdd: r.capAdd, CapDrop: r.capDrop, Groups: r.groups, CPUSet: r.cpuset, CPUShares: r.shares, Pids: r.pids,
		},
	}
	var err error
	if command.Env, err = withFiles(command.Env, r.envFiles, read); err != nil {
		return Command{}, err
	}
	if r.entrypointSet {
		command.Entrypoint = []string{r.entrypoint}
	}
	if err := r.limits(&command); err != nil {
		return Command{}, err
	}
	mounts, tmpfs, err := r.mounts(plan)
	command.Mounts, command.Options.Tmpfs = mounts, append(command.Options.Tmpfs, tmpfs...)
	return command, err
}

// environment gives variables without a value the one they have on the agent: none.
func environment(entries []string) []string {
	var kept []string
	for _, entry := range entries {
		if strings.Contains(entry, "=") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// withFiles puts the variables of --env-file in front of those that were given one by one,
// which count for more.
func withFiles(env, files []string, read func(file string) ([]byte, error)) ([]string, error) {
	var found []string
	for _, file := range files {
		text, err := read(file)
		if err != nil {
			return nil, Failure(fmt.Sprintf("the option --env-file: open %s: %s", file, reason(err)))
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimRight(strings.TrimLeft(line, " \t"), "\r\n")
			if strings.Contains(line, "=") && !strings.HasPrefix(line, "#") {
				found = append(found, line)
			}
		}
	}
	return append(found, env...), nil
}

// limits reads the options with a value of their own kind.
func (r *runLine) limits(command *Command) (err error) {
	if r.cpus != "" {
		if command.CPUs, err = strconv.ParseFloat(r.cpus, 64); err != nil || command.CPUs < 0 {
			return Failure(fmt.Sprintf("invalid value %q for the option --cpus", r.cpus))
		}
	}
	for _, size := range []struct {
		option, text string
		into         *int64
	}{
		{"memory", r.memory, &command.Memory}, {"shm-size", r.shmSize, &command.Options.ShmSize},
		{"memory-reservation", r.reservation, &command.Options.Reservation}, {"memory-swap", r.swap, &command.Options.Swap},
	} {
		if size.text == "" {
			continue
		}
		if size.option == "memory-swap" && size.text == "-1" {
			*size.into = -1
			continue
		}
		if *size.into, err = units.RAMInBytes(size.text); err != nil {
			return Failure(fmt.Sprintf("invalid value %q for the option --%s", size.text, size.option))
		}
	}
	for _, option := range r.security {
		switch option {
		case "no-new-privileges", "no-new-privileges=true", "no-new-privileges:true":
			command.Options.NoNewPrivileges = true
		default:
			return Failure(fmt.Sprintf("the option --security-opt %s is not supported", option))
		}
	}
	return r.words(command)
}

// words reads the options whose values are words.
func (r *runLine) words(command *Command) error {
	switch {
	case r.isolation != "" && r.isolation != "default":
		return Failure(fmt.Sprintf("invalid isolation: %q: only default is supported", r.isolation))
	case r.platform != "" && r.platform != "linux" && r.platform != "linux/"+runtime.GOARCH:
		return Failure(fmt.Sprintf("the option --platform %s is not supported: steps are run for linux/%s", r.platform, runtime.GOARCH))
	case r.restart != "" && r.restart != "no":
		return Failure(fmt.Sprintf("the option --restart %s is not supported: retries and repeat of the step are", r.restart))
	case r.logDriver != "" && r.logDriver != "json-file" && r.logDriver != "local":
		return Failure(fmt.Sprintf("the option --log-driver %s is not supported", r.logDriver))
	}
	switch r.pull {
	case "", "missing":
	case "always":
		command.Pull = true
	case "never":
		command.NoPull = true
	default:
		return Failure(fmt.Sprintf("invalid pull option: %q: must be one of \"always\", \"missing\" or \"never\"", r.pull))
	}
	return nil
}

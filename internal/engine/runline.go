package engine

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// runLine is a "docker run" line, read.
type runLine struct {
	remove, detach, privileged, tty, interactive bool
	ports, expose, hosts, env, volumes           []string
	user, network, isolation, cpus, memory       string
	entrypoint, name, workdir, pull, platform    string
	labels                                       []string

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
	refuse(flags, "docker run", "annotation", "attach=a", "blkio-weight", "cap-add", "cap-drop", "cgroup-parent", "cgroupns",
		"cidfile", "cpu-count", "cpu-percent", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares=c",
		"cpuset-cpus", "cpuset-mems", "detach-keys", "device", "device-cgroup-rule", "device-read-bps", "device-read-iops",
		"device-write-bps", "device-write-iops", "!disable-content-trust", "dns", "dns-option", "dns-search", "domainname",
		"env-file", "gpus", "group-add", "health-cmd", "health-interval", "health-retries", "health-start-period",
		"health-timeout", "!help", "hostname=h", "!init", "ip", "ip6", "ipc", "kernel-memory", "label-file", "link",
		"link-local-ip", "log-driver", "log-opt", "mac-address", "memory-reservation", "memory-swap", "memory-swappiness",
		"mount", "net-alias", "network-alias", "!no-healthcheck", "!oom-kill-disable", "oom-score-adj", "pid", "pids-limit",
		"!publish-all=P", "!quiet=q", "!read-only", "restart", "runtime", "security-opt", "shm-size", "!sig-proxy",
		"stop-signal", "stop-timeout", "storage-opt", "sysctl", "tmpfs", "ulimit", "userns", "uts", "volume-driver", "volumes-from")
	return flags
}

// clients are images that Azure's agents have ready and that need the agent's
// container daemon, which no step gets here.
var clients = map[string]bool{"docker": true, "buildx": true, "acb": true}

// command makes what an Executor runs of the line.
func (r *runLine) command(plan *taskfile.Plan) (Command, error) {
	if clients[r.image] {
		return Command{}, Failure(fmt.Sprintf("cmd: %s %s needs the agent's container daemon, which steps do not get here", r.image, strings.Join(r.args, " ")))
	}
	command := Command{
		Name: r.name, Image: r.image, Args: r.args, Env: environment(r.env), WorkingDir: r.workdir, User: r.user,
		Network: r.network, Privileged: r.privileged, Detach: r.detach, Keep: !r.remove, TTY: r.tty,
		Ports: r.ports, Expose: r.expose, Hosts: r.hosts,
	}
	if r.entrypointSet {
		command.Entrypoint = []string{r.entrypoint}
	}
	if err := r.limits(&command); err != nil {
		return Command{}, err
	}
	var err error
	command.Mounts, err = r.mounts(plan)
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

// limits reads the options with a value of their own kind.
func (r *runLine) limits(command *Command) (err error) {
	if r.cpus != "" {
		if command.CPUs, err = strconv.ParseFloat(r.cpus, 64); err != nil || command.CPUs < 0 {
			return Failure(fmt.Sprintf("invalid value %q for the option --cpus", r.cpus))
		}
	}
	if r.memory != "" {
		if command.Memory, err = units.RAMInBytes(r.memory); err != nil {
			return Failure(fmt.Sprintf("invalid value %q for the option --memory", r.memory))
		}
	}
	if r.isolation != "" && r.isolation != "default" {
		return Failure(fmt.Sprintf("invalid isolation: %q: only default is supported", r.isolation))
	}
	if r.platform != "" {
		return Failure("the option --platform of docker run is not supported")
	}
	switch r.pull {
	case "", "missing":
	case "always":
		command.Pull = true
	default:
		return Failure(fmt.Sprintf("the value %q of the option --pull is not supported", r.pull))
	}
	return nil
}

// mounts finds the volumes of the task among the mounts. The workspace, the home
// and the daemon's socket are on every line and not given as mounts.
func (r *runLine) mounts(plan *taskfile.Plan) ([]Mount, error) {
	var mounts []Mount
	for _, volume := range r.volumes {
		source, target, _ := strings.Cut(volume, ":")
		target, mode, _ := strings.Cut(target, ":")
		switch {
		case source == plan.SharedVolume && target == taskfile.WorkspaceDir,
			source == "home" && target == taskfile.HomeDir, target == "/var/run/docker.sock":
		case declares(plan, source) && path.IsAbs(target) && (mode == "" || mode == "ro"):
			mounts = append(mounts, Mount{Volume: source, Path: target})
		default:
			return nil, Failure(fmt.Sprintf("the option --volume %s is not supported: only volumes of the task can be mounted", volume))
		}
	}
	return mounts, nil
}

func declares(plan *taskfile.Plan, volume string) bool {
	for _, declared := range plan.Volumes {
		if declared.Name == volume {
			return true
		}
	}
	return false
}

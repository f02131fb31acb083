package engine

import (
	"fmt"
	"path"
	"strings"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// dockerSocket is where every step has the run's Docker API.
const dockerSocket = "/var/run/docker.sock"

// mounts reads the -v and --mount of a line. The workspace, the home and the socket are
// on every line and not given as mounts where they belong.
func (r *runLine) mounts(plan *taskfile.Plan) ([]Mount, []string, error) {
	var mounts []Mount
	for _, volume := range r.volumes {
		source, target, given := strings.Cut(volume, ":")
		if !given { // a volume without a name: what lies there is the container's anyway
			continue
		}
		target, mode, _ := strings.Cut(target, ":")
		readOnly, ok := mountMode(mode)
		if !ok {
			return nil, nil, Failure(fmt.Sprintf("the option --volume %s has the mode %q, which is not supported", volume, mode))
		}
		mount, err := volumeMount(plan, "--volume "+volume, source, target)
		if err != nil {
			return nil, nil, err
		}
		if mount != nil {
			mount.ReadOnly = readOnly
			mounts = append(mounts, *mount)
		}
	}
	more, tmpfs, err := r.longMounts(plan)
	return append(mounts, more...), tmpfs, err
}

// mountMode reads what follows the second colon. Labels of SELinux change nothing here.
func mountMode(mode string) (readOnly, ok bool) {
	ok = true
	for option := range strings.SplitSeq(mode, ",") {
		switch option {
		case "", "rw", "z", "Z":
		case "ro":
			readOnly = true
		default:
			ok = false
		}
	}
	return readOnly, ok
}

// volumeMount is the mount of a volume, or nil if it is there already.
func volumeMount(plan *taskfile.Plan, option, source, target string) (*Mount, error) {
	if !path.IsAbs(target) {
		return nil, Failure(fmt.Sprintf("the option %s needs an absolute path in the container", option))
	}
	target = path.Clean(target)
	switch {
	case source == plan.SharedVolume && target == taskfile.WorkspaceDir, source == "home" && target == taskfile.HomeDir,
		source == dockerSocket && target == dockerSocket:
		return nil, nil
	case source == plan.SharedVolume:
		source = WorkspaceVolume
	case source == "home":
		source = HomeVolume
	case strings.Contains(source, "/") || source == "." || source == "..":
		return nil, Failure(fmt.Sprintf("the option %s is not supported: a step sees nothing of the machine; what steps share is in %s, and in volumes by name", option, taskfile.WorkspaceDir))
	case !containerNames.MatchString(source):
		return nil, Failure(fmt.Sprintf("the option %s: %q includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed", option, source))
	}
	return &Mount{Volume: source, Path: target}, nil
}

// longMounts reads --mount type=…,source=…,target=…
func (r *runLine) longMounts(plan *taskfile.Plan) (mounts []Mount, tmpfs []string, err error) {
	for _, option := range r.longForm {
		fields := map[string]string{"type": "volume"}
		for field := range strings.SplitSeq(option, ",") {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "src":
				key = "source"
			case "dst", "destination":
				key = "target"
			case "ro":
				key = "readonly"
			}
			fields[key] = value
		}
		if err := known(fields, option); err != nil {
			return nil, nil, err
		}
		if fields["type"] == "tmpfs" {
			entry := fields["target"]
			if size := fields["tmpfs-size"]; size != "" {
				entry += ":size=" + size
			}
			tmpfs = append(tmpfs, entry)
			continue
		}
		if fields["source"] == "" {
			continue // a volume without a name
		}
		mount, err := volumeMount(plan, "--mount "+option, fields["source"], fields["target"])
		if err != nil {
			return nil, nil, err
		}
		if mount != nil {
			value, given := fields["readonly"]
			mount.ReadOnly = given && value != "false"
			mounts = append(mounts, *mount)
		}
	}
	return mounts, tmpfs, nil
}

func known(fields map[string]string, option string) error {
	if kind := fields["type"]; kind != "volume" && kind != "tmpfs" {
		return Failure(fmt.Sprintf("the option --mount %s is not supported: its type may be volume or tmpfs", option))
	}
	for key := range fields {
		switch key {
		case "type", "source", "target", "readonly", "tmpfs-size":
		default:
			return Failure(fmt.Sprintf("unexpected key %q in the option --mount %s", key, option))
		}
	}
	if !path.IsAbs(fields["target"]) {
		return Failure(fmt.Sprintf("the option --mount %s needs an absolute path as its target", option))
	}
	return nil
}

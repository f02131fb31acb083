package dockerapi

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (c Container) labels() map[string]string {
	if c.Spec.Labels == nil {
		return map[string]string{}
	}
	return c.Spec.Labels
}

func (c Container) commandLine() []string { return slices.Concat(c.Spec.Entrypoint, c.Spec.Args) }

func (c Container) summary() map[string]any {
	return map[string]any{
		"Id": c.ID, "Names": []string{"/" + c.Name}, "Image": c.Spec.Image, "ImageID": c.ImageID, "Command": strings.Join(c.commandLine(), " "),
		"Created": c.Created.Unix(), "State": c.State, "Status": c.status(time.Now()), "Labels": c.labels(), "Ports": c.ports(), "Mounts": c.mounts(),
		"HostConfig": map[string]string{"NetworkMode": c.networkMode()}, "NetworkSettings": map[string]any{"Networks": c.endpoints()},
	}
}

// status is the state for people.
func (c Container) status(now time.Time) string {
	switch c.State {
	case Running:
		return "Up " + now.Sub(c.Started).Round(time.Second).String()
	case Exited:
		return fmt.Sprintf("Exited (%d) %s ago", c.ExitCode, now.Sub(c.Finished).Round(time.Second))
	}
	return "Created"
}

func (c Container) networkMode() string { return cmp.Or(c.Spec.Network, "default") }

func (c Container) endpoints() map[string]any {
	address := ""
	if c.Addr.IsValid() {
		address = c.Addr.String()
	}
	aliases := append([]string{}, c.Spec.Aliases...)
	return map[string]any{c.networkMode(): map[string]any{"NetworkID": c.networkMode(), "IPAddress": address, "Aliases": aliases}}
}

func (c Container) mounts() []any {
	mounts := []any{}
	for _, m := range c.Spec.Mounts {
		mounts = append(mounts, map[string]any{"Type": "volume", "Name": m.Volume, "Source": m.Volume, "Destination": m.Path, "Driver": "local", "Mode": "", "RW": !m.ReadOnly, "Propagation": ""})
	}
	return mounts
}

// ports are the published ports as a listing has them.
func (c Container) ports() []any {
	ports := []any{}
	for _, p := range c.Ports {
		ports = append(ports, map[string]any{"IP": p.At.Addr().String(), "PrivatePort": p.Container, "PublicPort": p.At.Port(), "Type": p.Network})
	}
	return ports
}

// bindings are the published ports by those of the container.
func (c Container) bindings() map[string]any {
	bindings := map[string]any{}
	for _, p := range c.Ports {
		inside := fmt.Sprintf("%d/%s", p.Container, p.Network)
		known, _ := bindings[inside].([]any)
		bindings[inside] = append(known, map[string]string{"HostIp": p.At.Addr().String(), "HostPort": strconv.Itoa(int(p.At.Port()))})
	}
	return bindings
}

// inspect shows all about a container.
func (h *Handler) inspect(w http.ResponseWriter, r *http.Request) error {
	c, err := h.engine.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	line := c.commandLine()
	program := ""
	if len(line) > 0 {
		program = line[0]
		line = line[1:]
	}
	logDriver := "json-file"
	if !c.Readable {
		logDriver = "none"
	}
	address := ""
	if c.Addr.IsValid() {
		address = c.Addr.String()
	}
	answer(w, http.StatusOK, map[string]any{
		"Id": c.ID, "Name": "/" + c.Name, "Created": moment(c.Created), "Path": program, "Args": append([]string{}, line...), "Image": c.ImageID, "Platform": "linux",
		"State": map[string]any{"Status": c.State, "Running": c.State == Running, "Paused": false, "Restarting": false, "Dead": false, "OOMKilled": c.OOMKilled,
			"ExitCode": c.ExitCode, "Error": "", "Pid": 0, "StartedAt": moment(c.Started), "FinishedAt": moment(c.Finished)},
		"Config": map[string]any{"Image": c.Spec.Image, "Cmd": append([]string{}, c.Spec.Args...), "Entrypoint": c.Spec.Entrypoint, "Env": append([]string{}, c.Spec.Env...),
			"WorkingDir": c.Spec.WorkingDir, "User": c.Spec.User, "Labels": c.labels(), "Tty": c.Spec.TTY, "OpenStdin": c.Spec.OpenStdin,
			"Hostname": cmp.Or(c.Spec.Options.Hostname, c.ID[:12])},
		"HostConfig": map[string]any{"NetworkMode": c.networkMode(), "AutoRemove": c.Spec.AutoRemove, "Privileged": c.Spec.Privileged, "Memory": c.Spec.Memory,
			"NanoCpus": int64(c.Spec.CPUs * 1e9), "LogConfig": map[string]any{"Type": logDriver}, "RestartPolicy": map[string]any{"Name": "no"}},
		"NetworkSettings": map[string]any{"IPAddress": address, "Networks": c.endpoints(), "Ports": c.bindings()},
		"Mounts":          c.mounts(), "RestartCount": 0, "Driver": "overlayfs",
	})
	return nil
}

// moment is a time as the API has it. What was not yet is in the year 1.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

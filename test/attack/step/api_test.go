//go:build linux && cgo

package step_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/engine"
)

// request is one that the probe sends, answer what came back. want and says are what the
// test looks for, not what must not stand there. A wanted status of 0 is any refusal or
// a redirection, but no fault.
type request struct {
	Name, Method, Path, Body, Host string
	Header                         map[string]string
	Repeat                         int

	want      int
	says, not string
}

type answer struct {
	Name, Body string
	Status     int
}

const (
	badRequest, notFound, conflict, notOffered = 400, 404, 409, 501

	unanswered = -1 // nobody was there

	apiOf = "unix:/var/run/docker.sock"
)

// ask has a step of the run send requests, and looks at each answer.
func (r *run) ask(t *testing.T, to string, c engine.Command, all []request) []answer {
	t.Helper()
	for i := range all {
		all[i].Body = strings.ReplaceAll(all[i].Body, "IMAGE", r.p.Base)
		all[i].Path = strings.ReplaceAll(all[i].Path, "BASE", r.p.Base)
	}
	text, err := json.Marshal(all)
	must(t, err)
	file := filepath.Join(r.spec.Workspace, "requests")
	must(t, os.WriteFile(file, text, 0o644))
	c.Args = []string{"/workspace/probe", "http", to, "/workspace/requests"}
	result, out := r.command(t, c)
	text, err = os.ReadFile(file + ".answers")
	if err != nil || result.ExitCode != 0 {
		t.Fatalf("%+v, %v: %s", result, err, out)
	}
	var answers []answer
	must(t, json.Unmarshal(text, &answers))
	for i, got := range answers {
		want := all[i]
		t.Run(strings.ReplaceAll(want.Name, "/", "|"), func(t *testing.T) {
			if want.want == unanswered {
				if got.Status != 0 {
					t.Errorf("somebody answers with %d: %.500s", got.Status, got.Body)
				}
				return
			}
			refused := want.want == 0 && got.Status >= 300 && got.Status != 500 // which one is docker's matter
			if got.Status != want.want && !refused || !containsOne(got.Body, want.says) || want.not != "" && containsOne(got.Body, want.not) {
				t.Errorf("status %d, want %d with %q and not %q: %.500s", got.Status, want.want, want.says, want.not, got.Body)
			}
		})
	}
	return answers
}

// hostConfigs are settings of a container by which it would have more than a step may. Each
// is refused by name.
var hostConfigs = []struct {
	name, json string
	want       int
	says       string
}{
	{"Binds of the machine", `"Binds":["/etc:/x"]`, 0, "sees nothing of the machine"},
	{"Binds of the machine's root", `"Binds":["/:/x:ro"]`, 0, "sees nothing of the machine"},
	{"Binds through the workspace", `"Binds":["/workspace/../etc:/x"]`, 0, "sees nothing of the machine"},
	{"Binds of a relative path", `"Binds":["../../etc:/x"]`, 0, "sees nothing of the machine"},
	{"Binds that are shared", `"Binds":["data:/x:rshared"]`, notOffered, "the mode rshared"},
	{"Binds of devices", `"Binds":["data:/x:dev"]`, notOffered, "the mode dev"},
	{"Binds of the socket elsewhere", `"Binds":["/var/run/docker.sock:/x"]`, 0, "the socket /var/run/docker.sock is offered"},
	{"Mounts of the type bind", `"Mounts":[{"Type":"bind","Source":"/etc","Target":"/x"}]`, 0, "sees nothing of the machine"},
	{"Mounts of the type volume with a path", `"Mounts":[{"Type":"volume","Source":"/etc","Target":"/x"}]`, 0, "sees nothing of the machine"},
	{"Mounts of the type npipe", `"Mounts":[{"Type":"npipe","Source":"/etc","Target":"/x"}]`, notOffered, "a mount of the type npipe"},
	{"Mounts of the type image", `"Mounts":[{"Type":"image","Source":"x","Target":"/x"}]`, notOffered, "a mount of the type image"},
	{"Mounts with a driver", `"Mounts":[{"Type":"volume","Source":"d","Target":"/x","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/etc"}}}}]`, notOffered, "HostConfig.Mounts.VolumeOptions"},
	{"Mounts with a folder of a volume", `"Mounts":[{"Type":"volume","Source":"d","Target":"/x","VolumeOptions":{"Subpath":"../.."}}]`, notOffered, "HostConfig.Mounts.VolumeOptions"},
	{"Mounts that spread", `"Mounts":[{"Type":"bind","Source":"/workspace","Target":"/x","BindOptions":{"Propagation":"rshared"}}]`, notOffered, "HostConfig.Mounts.BindOptions.Propagation"},
	{"Privileged", `"Privileged":true`, 0, "privileged containers are not allowed"},
	{"Privileged, said twice", `"Privileged":true,"Privileged":false,"privileged":true`, 0, "not offered|privileged containers are not allowed"},
	{"privileged in small letters", `"privileged":true`, notOffered, "HostConfig.privileged"},
	{"CapAdd", `"CapAdd":["SYS_ADMIN"]`, 0, "SYS_ADMIN: privileged"},
	{"CapAdd of all", `"CapAdd":["ALL"]`, 0, "privileged"},
	{"Capabilities", `"Capabilities":["CAP_SYS_ADMIN"]`, notOffered, "HostConfig.Capabilities"},
	{"Devices", `"Devices":[{"PathOnHost":"/dev/kmsg","PathInContainer":"/dev/kmsg","CgroupPermissions":"rwm"}]`, notOffered, "HostConfig.Devices"},
	{"DeviceCgroupRules", `"DeviceCgroupRules":["a *:* rwm"]`, notOffered, "HostConfig.DeviceCgroupRules"},
	{"DeviceRequests", `"DeviceRequests":[{"Driver":"cdi","Count":-1}]`, notOffered, "HostConfig.DeviceRequests"},
	{"BlkioDeviceReadBps", `"BlkioDeviceReadBps":[{"Path":"/dev/vda","Rate":1}]`, notOffered, "HostConfig.BlkioDeviceReadBps"},
	{"PidMode of the host", `"PidMode":"host"`, notOffered, "HostConfig.PidMode"},
	{"PidMode of another", `"PidMode":"container:OTHER"`, notOffered, "HostConfig.PidMode"},
	{"UsernsMode", `"UsernsMode":"host"`, notOffered, "HostConfig.UsernsMode"},
	{"IpcMode of the host", `"IpcMode":"host"`, notOffered, "HostConfig.IpcMode"},
	{"IpcMode of another", `"IpcMode":"container:OTHER"`, notOffered, "HostConfig.IpcMode"},
	{"UTSMode", `"UTSMode":"host"`, notOffered, "HostConfig.UTSMode"},
	{"CgroupnsMode", `"CgroupnsMode":"host"`, notOffered, "HostConfig.CgroupnsMode"},
	{"CgroupParent", `"CgroupParent":"/"`, notOffered, "HostConfig.CgroupParent"},
	{"Cgroup", `"Cgroup":"container:OTHER"`, notOffered, "HostConfig.Cgroup"},
	{"Runtime", `"Runtime":"/tmp/x"`, notOffered, "HostConfig.Runtime"},
	{"Sysctls", `"Sysctls":{"kernel.core_pattern":"x"}`, notOffered, "HostConfig.Sysctls"},
	{"SecurityOpt without a filter", `"SecurityOpt":["seccomp=unconfined"]`, notOffered, "the security option seccomp=unconfined"},
	{"SecurityOpt with a filter", `"SecurityOpt":["seccomp={}"]`, notOffered, "the security option seccomp={}"},
	{"SecurityOpt without AppArmor", `"SecurityOpt":["apparmor=unconfined"]`, notOffered, "the security option apparmor"},
	{"SecurityOpt without masked paths", `"SecurityOpt":["systempaths=unconfined"]`, notOffered, "the security option systempaths"},
	{"MaskedPaths that are none", `"MaskedPaths":[]`, notOffered, "HostConfig.MaskedPaths"},
	{"MaskedPaths of one", `"MaskedPaths":["/x"]`, notOffered, "HostConfig.MaskedPaths"},
	{"ReadonlyPaths that are none", `"ReadonlyPaths":[]`, notOffered, "HostConfig.ReadonlyPaths"},
	{"VolumesFrom", `"VolumesFrom":["OTHER"]`, notOffered, "HostConfig.VolumesFrom"},
	{"VolumeDriver", `"VolumeDriver":"x"`, notOffered, "HostConfig.VolumeDriver"},
	{"Links", `"Links":["OTHER:x"]`, notOffered, "HostConfig.Links"},
	{"LogConfig", `"LogConfig":{"Type":"syslog","Config":{"syslog-address":"unix:///dev/log"}}`, notOffered, "HostConfig.LogConfig"},
	{"RestartPolicy", `"RestartPolicy":{"Name":"always"}`, notOffered, "HostConfig.RestartPolicy"},
	{"StorageOpt", `"StorageOpt":{"size":"900G"}`, notOffered, "HostConfig.StorageOpt"},
	{"OomKillDisable", `"OomKillDisable":true`, notOffered, "HostConfig.OomKillDisable"},
	{"OomScoreAdj", `"OomScoreAdj":-1000`, notOffered, "HostConfig.OomScoreAdj"},
	{"PidsLimit that is none", `"PidsLimit":-1`, notOffered, "HostConfig.PidsLimit"},
	{"Memory that is negative", `"Memory":-1`, badRequest, "HostConfig.Memory is negative"},
	{"CpuRealtimeRuntime", `"CpuRealtimeRuntime":95000`, notOffered, "HostConfig.CpuRealtimeRuntime"},
	{"KernelMemory", `"KernelMemory":1000000`, notOffered, "HostConfig.KernelMemory"},
	{"Annotations", `"Annotations":{"org.systemd.property.x":"y"}`, notOffered, "HostConfig.Annotations"},
	{"a setting that nobody knows", `"EscapeNow":true`, notOffered, "HostConfig.EscapeNow"},
	{"Tmpfs that is none", `"Tmpfs":{"/x":"rbind"}`, 0, "rbind"},
	{"Tmpfs at a relative path", `"Tmpfs":{"../x":""}`, 0, "absolute|../x"},
	{"ExtraHosts without an address", `"ExtraHosts":["metadata"]`, 0, "metadata"},
}

// atStart are settings that are refused when the container is to start, as docker does.
var atStart = []struct{ name, json, says string }{
	{"NetworkMode of another run", `"NetworkMode":"container:OTHER"`, "No such container: OTHER"},
	{"NetworkMode of a process", `"NetworkMode":"ns:/proc/1/ns/net"`, "not found"},
	{"NetworkMode that is a path", `"NetworkMode":"../../x"`, "not found"},
	{"ulimits that are none", `"Ulimits":[{"Name":"nosuch","Soft":1,"Hard":1}]`, "nosuch"},
}

// made is the body of a request for a container.
func made(host string) string {
	return `{"Image":"IMAGE","Cmd":["true"],"HostConfig":{` + host + `}}`
}

func post(name, path, body string, want int, says string) request {
	return request{Name: name, Method: "POST", Path: path, Body: body, want: want, says: says,
		Header: map[string]string{"Content-Type": "application/json"}}
}

func containersByAPI(t *testing.T, p *place) {
	r, other := p.apiRuns(t)
	if r == nil {
		return
	}
	all := []request{
		post("control: a container", "/v1.41/containers/create?name=control", made(""), 201, `"Id"`),
		post("control: a container with volumes", "/v1.41/containers/create", made(`"Binds":["/workspace:/x:ro","data:/d"]`), 201, `"Id"`),
	}
	for _, c := range hostConfigs {
		one := post(c.name, "/v1.41/containers/create", made(strings.ReplaceAll(c.json, "OTHER", other)), c.want, strings.ReplaceAll(c.says, "OTHER", other))
		all = append(all, one)
	}
	for _, c := range atStart {
		fill := strings.NewReplacer("OTHER", other)
		all = append(all, post("control: before "+c.name, "/v1.41/containers/create", made(fill.Replace(c.json)), 201, `"Id"`),
			post(c.name, "/v1.41/containers/{made}/start", "", 0, fill.Replace(c.says)))
	}
	for _, a := range r.ask(t, apiOf, engine.Command{}, all) {
		if strings.Contains(a.Body, p.canary) {
			t.Errorf("%s tells of the machine: %s", a.Name, a.Body)
		}
	}
}

// apiRuns opens a run, and another with a container whose ID it returns. On a Docker Engine
// steps have no API, which it looks at instead.
func (p *place) apiRuns(t *testing.T) (*run, string) {
	t.Helper()
	r, other := p.open(t, nil), p.open(t, nil)
	r.command(t, engine.Command{Args: []string{"true"}})
	other.command(t, engine.Command{Args: []string{"true"}})
	if p.kind == onEngine {
		t.Run("there is no API", func(t *testing.T) {
			if _, out := r.command(t, engine.Command{Args: []string{"sh", "-c", "for s in /var/run/docker.sock /run/docker.sock; do test -e $s || echo none; done"}}); out != "none\nnone\n" {
				t.Error(out)
			}
		})
		return nil, ""
	}
	result, out := other.command(t, engine.Command{Name: "others", Detach: true, Args: []string{"sleep", "1000"}, Env: []string{"OTHERS=secret-of-the-other"}})
	if result.ContainerID == "" {
		t.Fatal(out)
	}
	return r, result.ContainerID
}

func restOfAPI(t *testing.T, p *place) {
	r, other := p.apiRuns(t)
	if r == nil {
		return
	}
	get := func(name, path string, want int, says string) request {
		return request{Name: name, Method: "GET", Path: path, want: want, says: says, not: "others|secret-of-the-other"}
	}
	all := []request{
		post("control: a container of one's own", "/v1.41/containers/create?name=mine", `{"Image":"IMAGE","Cmd":["sleep","1000"]}`, 201, `"Id"`),
		post("control: it is started", "/v1.41/containers/mine/start", "", 204, ""),
		get("control: containers", "/v1.41/containers/json?all=1", 200, "mine"),
		get("control: inspect", "/v1.41/containers/mine/json", 200, "mine"),
		post("control: a process in it", "/v1.41/containers/mine/exec", `{"Cmd":["true"]}`, 201, `"Id"`),
		post("a process that is privileged", "/v1.41/containers/mine/exec", `{"Cmd":["id"],"Privileged":true}`, notOffered, "rivileged"),
		post("a process with a setting nobody knows", "/v1.41/containers/mine/exec", `{"Cmd":["id"],"CapAdd":["ALL"]}`, notOffered, "CapAdd"),
		post("volumes: a bind by driver options", "/v1.41/volumes/create", `{"Name":"b","DriverOpts":{"type":"none","o":"bind","device":"/etc"}}`, notOffered, "DriverOpts"),
		post("volumes: another driver", "/v1.41/volumes/create", `{"Name":"b","Driver":"vieux/sshfs"}`, notOffered, "a driver of its own"),
		post("volumes: a name that is a path", "/v1.41/volumes/create", `{"Name":"../../x"}`, badRequest, "invalid characters"),
		post("volumes: a name that is absolute", "/v1.41/volumes/create", `{"Name":"/etc"}`, badRequest, "invalid characters"),
		post("volumes: of a cluster", "/v1.41/volumes/create", `{"Name":"b","ClusterVolumeSpec":{"Group":"x"}}`, notOffered, "ClusterVolumeSpec"),
		post("networks: macvlan", "/v1.41/networks/create", `{"Name":"n","Driver":"macvlan","Options":{"parent":"eth0"}}`, notOffered, "Options|macvlan"),
		post("networks: ipvlan", "/v1.41/networks/create", `{"Name":"n","Driver":"ipvlan"}`, notOffered, "the network driver ipvlan"),
		post("networks: the host's", "/v1.41/networks/create", `{"Name":"n","Driver":"host"}`, notOffered, "the network driver host"),
		post("networks: a bridge of the machine", "/v1.41/networks/create", `{"Name":"n","Options":{"com.docker.network.bridge.name":"eth0"}}`, notOffered, "the setting Options"),
		post("networks: addresses of the machine", "/v1.41/networks/create", `{"Name":"n","IPAM":{"Config":[{"Subnet":"127.0.0.0/8"}]}}`, notOffered, "IPAM.Config"),
		post("networks: a name that is taken by docker", "/v1.41/networks/create", `{"Name":"host"}`, conflict, "already exists"),
		post("networks: a container of another run", "/v1.41/networks/x/connect", `{"Container":"`+other+`"}`, notOffered, "not offered"),
		post("build: the host's network", "/v1.41/build?networkmode=host", "", 200, `"error":"network mode \"host\" is not allowed in builds"`),
		post("build: a URL on loopback", "/v1.41/build?remote=http://127.0.0.1:1/x", "", notOffered, "remote"),
		post("build: metadata", "/v1.41/build?remote=http://169.254.169.254/x", "", notOffered, "remote"),
		post("build: an output", "/v1.41/build?outputs=%5B%7B%22Type%22%3A%22local%22%7D%5D", "", notOffered, "outputs"),
		post("build: a filter of system calls", "/v1.41/build?securityopt=seccomp%3Dunconfined", "", notOffered, "securityopt"),
		post("build: control groups", "/v1.41/build?cgroupparent=/", "", notOffered, "cgroupparent"),
		post("build: BuildKit's own session", "/v1.41/session", "", notOffered, "DOCKER_BUILDKIT=0|not offered"),
		post("build: BuildKit's own API", "/v1.41/grpc", "", notOffered, "DOCKER_BUILDKIT=0|not offered"),
		post("images: load", "/v1.41/images/load", "x", notOffered, "images/load"),
		post("images: import from a URL", "/v1.41/images/create?fromSrc=http://169.254.169.254/x", "", notOffered, "fromSrc|import"),
		post("images: import what is sent", "/v1.41/images/create?fromSrc=-", "x", notOffered, "fromSrc|import"),
		get("images: save", "/v1.41/images/get?names=x", notOffered, "images/get"),
		post("images: commit", "/v1.41/commit?container=mine&repo=x", "{}", notOffered, "/commit"),
		post("images: from metadata", "/v1.41/images/create?fromImage=169.254.169.254/x&tag=1", "", 200, `"error":"169.254.169.254/x:1: failed to do request`),
		post("auth: at metadata", "/v1.41/auth", `{"username":"a","password":"b","serveraddress":"http://169.254.169.254"}`, 0, "egress policy"),
		get("files of a container", "/v1.41/containers/mine/archive?path=/etc/passwd", notOffered, "not offered"),
		{Name: "files into a container", Method: "PUT", Path: "/v1.41/containers/mine/archive?path=/", Body: "x", want: notOffered, says: "not offered"},
		get("a container as an archive", "/v1.41/containers/mine/export", notOffered, "not offered"),
		get("processes of a container", "/v1.41/containers/mine/top", notOffered, "not offered"),
		post("update of limits", "/v1.41/containers/mine/update", `{"Memory":900000000000}`, notOffered, "not offered"),
		post("rename", "/v1.41/containers/mine/rename?name=../x", "", notOffered, "not offered"),
		post("checkpoints", "/v1.41/containers/mine/checkpoints", `{"CheckpointID":"x","CheckpointDir":"/etc"}`, notOffered, "not offered"),
		post("prune", "/v1.41/containers/prune", "", notOffered, "not offered"),
		get("events", "/v1.41/events", notOffered, "not offered"),
		get("plugins", "/v1.41/plugins", notOffered, "not offered"),
		post("a plugin", "/v1.41/plugins/pull?remote=x", "[]", notOffered, "not offered"),
		post("swarm", "/v1.41/swarm/init", "{}", notOffered, "not offered"),
		post("services", "/v1.41/services/create", "{}", notOffered, "not offered"),
		get("secrets", "/v1.41/secrets", notOffered, "not offered"),
		get("configs", "/v1.41/configs", notOffered, "not offered"),
		get("disk", "/v1.41/system/df", notOffered, "not offered"),
		get("profiles of the server", "/debug/pprof/heap", notOffered, "not offered"),
		get("metrics of the server", "/metrics", notOffered, "not offered"),
		get("another run's container by ID", "/v1.41/containers/"+other+"/json", notFound, "No such container"),
		get("another run's container by a part of its ID", "/v1.41/containers/"+other[:12]+"/json", notFound, "No such container"),
		get("another run's log", "/v1.41/containers/"+other+"/logs?stdout=1", notFound, "No such container"),
		post("a process in another run's container", "/v1.41/containers/"+other+"/exec", `{"Cmd":["env"]}`, notFound, "No such container"),
		post("kill another run's container", "/v1.41/containers/"+other+"/kill", "", notFound, "No such container"),
		post("stop another run's container by name", "/v1.41/containers/others/stop", "", notFound, "No such container"),
		post("attach to another run's container", "/v1.41/containers/"+other+"/attach?stream=1&stdout=1", "", notFound, "No such container"),
		post("wait for another run's container", "/v1.41/containers/"+other+"/wait", "", notFound, "No such container"),
		{Name: "remove another run's container", Method: "DELETE", Path: "/v1.41/containers/" + other + "?force=1", want: notFound, says: "No such container"},
		get("an ID that leads above", "/v1.41/containers/..%2f..%2fetc/json", 0, "Temporary Redirect|No such container"),
		get("an ID with a zero", "/v1.41/containers/%00/json", notFound, "No such container"),
		get("an ID that is an option", "/v1.41/containers/--all/json", notFound, "No such container"),
		get("an image that leads above", "/v1.41/images/..%2f..%2fetc%2fpasswd/json", 0, "Temporary Redirect|o such image"),
		get("a network that leads above", "/v1.41/networks/..%2f..%2fetc", 0, "Temporary Redirect|not found"),
		get("a volume that leads above", "/v1.41/volumes/..%2f..%2fetc", 0, "Temporary Redirect|not found"),
		get("a version that is none", "/v9.99/_ping", badRequest, "too new"),
		get("info", "/v1.41/info", 200, "Acrux"),
		get("networks", "/v1.41/networks", 200, "["),
		get("volumes", "/v1.41/volumes", 200, "Volumes"),
		get("images", "/v1.41/images/json", 200, "baseimages"),
		post("a name that is a path", "/v1.41/containers/create?name=..%2f..%2fx", made(""), 0, "nvalid container name"),
		post("an image that is a path", "/v1.41/containers/create", `{"Image":"/etc/passwd"}`, 0, "invalid reference"),
		post("a body that is none", "/v1.41/containers/create", `{"Image":`, badRequest, "cannot be read"),
		post("a body that is a list", "/v1.41/containers/create", `[]`, badRequest, "cannot be read"),
		post("a body that says all twice", "/v1.41/containers/create", `{"Image":"IMAGE","HostConfig":{"Privileged":true},"HostConfig":{}}`, 0, "privileged containers are not allowed"),
		post("a body in small letters", "/v1.41/containers/create", `{"Image":"IMAGE","hostconfig":{"Binds":["/etc:/x"]}}`, notOffered, "hostconfig"),
		post("a second network", "/v1.41/containers/create", `{"Image":"IMAGE","NetworkingConfig":{"EndpointsConfig":{"a":{},"b":{}}}}`, notOffered, "a second network"),
		post("a MAC address", "/v1.41/containers/create", `{"Image":"IMAGE","MacAddress":"02:00:00:00:00:01"}`, notOffered, "MacAddress"),
		post("a health check", "/v1.41/containers/create", `{"Image":"IMAGE","Healthcheck":{"Test":["CMD","id"]}}`, notOffered, "Healthcheck"),
		{Name: "a body without end", Method: "POST", Path: "/v1.41/containers/create", Body: "[[[[[[[[[[[[[[[[", Repeat: 1250, want: badRequest, says: "cannot be read"},
		post("a body that is too large", "/v1.41/containers/create", `{"Image":"`+strings.Repeat("x", 512<<10-10)+`"}`, badRequest, "too large"),
		get("control: it still answers", "/_ping", 200, "OK"),
	}
	host, err := os.Hostname()
	must(t, err)
	for _, a := range r.ask(t, apiOf, engine.Command{}, all) {
		for _, told := range []string{r.spec.Workspace, p.root, fmt.Sprintf("%q", host)} {
			if strings.Contains(a.Body, told) {
				t.Errorf("%s tells %s of the machine: %s", a.Name, told, a.Body)
			}
		}
	}
}

// A process that a client starts in a container has the container's walls.
func wallsOfExec(t *testing.T, p *place) {
	r, _ := p.apiRuns(t)
	if r == nil {
		return
	}
	env, err := json.Marshal(p.machine(t, usualCapabilities))
	must(t, err)
	answers := r.ask(t, apiOf, engine.Command{}, []request{
		post("control: a container", "/v1.41/containers/create?name=mine", `{"Image":"IMAGE","Cmd":["sleep","1000"],"HostConfig":{"Binds":["/workspace:/w"]}}`, 201, `"Id"`),
		post("control: it is started", "/v1.41/containers/mine/start", "", 204, ""),
		post("control: a process", "/v1.41/containers/mine/exec", `{"Cmd":["/w/probe","walls"],"AttachStdout":true,"AttachStderr":true,"Env":`+string(env)+`}`, 201, `"Id"`),
		post("control: its output", "/v1.41/exec/{made}/start", `{"Detach":false}`, 200, "held"),
	})
	held(t, answers[len(answers)-1].Body, append(p.documented(), "device of the disk in the image"))
}

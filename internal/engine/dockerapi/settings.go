package dockerapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// What a client asks for is carried out or refused by name: whoever believes that a path is
// masked, or a volume somewhere else, must not find out later that it is not. So each body
// has a shape, and each path of the API its parameters; what is in neither must say nothing.

// shape are the settings of an object that are carried out, and those that say nothing that
// would have to be. The shape below a name is that of its value; under each stands for all
// elements of a list, or all members of a mapping.
type shape map[string]shape

const each = "*"

// names are settings whose values are not looked into here.
func names(text string) shape {
	all := shape{}
	for name := range strings.FieldsSeq(text) {
		all[name] = nil
	}
	return all
}

// with adds a setting whose value has a shape.
func (s shape) with(name string, value shape) shape {
	s[name] = value
	return s
}

// The bodies. Of containers: a client asks for its streams when it attaches, terminals have
// no size, and where the client keeps the container's ID is its own business.
var (
	containerShape = names("Hostname Image User WorkingDir StopSignal StopTimeout Tty OpenStdin Env Cmd "+
		"Entrypoint Labels ExposedPorts Volumes "+
		"AttachStdin AttachStdout AttachStderr StdinOnce").
		with("HostConfig", hostShape).
		with("NetworkingConfig", shape{"EndpointsConfig": shape{each: names("Aliases")}})
	hostShape = names("Binds NetworkMode PortBindings AutoRemove Privileged ReadonlyRootfs Init CapAdd CapDrop "+
		"GroupAdd ExtraHosts SecurityOpt NanoCpus CpuShares CpusetCpus Memory MemoryReservation MemorySwap "+
		"PidsLimit ShmSize Tmpfs ConsoleSize ContainerIDFile").
		with("Mounts", shape{each: mountShape}).
		with("Ulimits", shape{each: names("Name Soft Hard")})
	mountShape = names("Type Source Target ReadOnly Consistency").
			with("TmpfsOptions", names("SizeBytes Mode")).
			with("BindOptions", names("CreateMountpoint")) // what may be mounted is there
	networkShape = names("Name Driver EnableIPv6 CheckDuplicate").
			with("IPAM", names("Driver"))
	volumeShape = names("Name Driver")
	execShape   = names("AttachStdin AttachStdout AttachStderr Tty Cmd Env User WorkingDir Privileged Detach ConsoleSize")
	startShape  = names("Detach Tty ConsoleSize")
)

// check refuses what the shape has not, unless it says nothing. at is the way to the value.
func (s shape) check(raw json.RawMessage, at string) error {
	var list []json.RawMessage
	if _, elements := s[each]; elements && json.Unmarshal(raw, &list) == nil {
		for _, element := range list {
			if err := s[each].check(element, at); err != nil {
				return err
			}
		}
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		what := strings.TrimSuffix("the body of the request: "+at, ": ")
		return problem.New(problem.Invalid, "BadBody", "%s cannot be read: %v", what, err)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		below, known := s[name]
		if !known {
			below, known = s[each]
		}
		where := strings.TrimPrefix(at+"."+name, ".")
		switch {
		case !known && !isDefault(name, members[name]):
			return notOffered("the setting " + where)
		case below != nil:
			if err := below.check(members[name], where); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads a body that must have a shape. An empty one leaves into as it is.
func (s shape) read(w http.ResponseWriter, r *http.Request, into any) error {
	var raw json.RawMessage
	if err := decode(w, r, &raw); err != nil || len(raw) == 0 {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return problem.New(problem.Invalid, "BadBody", "the body of the request cannot be read: %v", err)
	}
	return s.check(raw, "")
}

// nothing is what parameters say that say nothing.
var nothing = []string{"", "0", "false", "null", "[]", "{}", "default"}

// checkQuery refuses parameters that are not among those that are looked at, unless they
// say nothing.
func checkQuery(r *http.Request, looked []string) error {
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range query[name] {
			if !slices.Contains(looked, name) && !slices.Contains(nothing, value) {
				return notOffered("the parameter " + name)
			}
		}
	}
	return nil
}

// isDefault reports whether a value is what clients send for a setting that nobody made.
func isDefault(name string, raw json.RawMessage) bool {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return false
	}
	switch strings.ToLower(name) { // as the standard library reads them
	case "maskedpaths", "readonlypaths": // an empty list uncovers all of them
		return value == nil
	case "memoryswappiness":
		return value == nil || value == float64(-1)
	case "enableipv4":
		return value == nil || value == true
	case "restartpolicy":
		policy, ok := value.(map[string]any)
		named := policy["Name"] == nil || policy["Name"] == "" || policy["Name"] == "no"
		return value == nil || ok && named && isZero(policy["MaximumRetryCount"])
	case "logconfig":
		config, ok := value.(map[string]any)
		named := config["Type"] == nil || config["Type"] == "" || config["Type"] == "json-file"
		return value == nil || ok && named && isZero(config["Config"])
	case "cgroupnsmode", "ipcmode":
		return value == nil || value == "" || value == "private"
	case "isolation":
		return value == nil || value == "" || value == "default"
	}
	return isZero(value)
}

func isZero(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, member := range v {
			if !isZero(member) {
				return false
			}
		}
		return true
	}
	return false
}

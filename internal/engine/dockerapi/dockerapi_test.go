package dockerapi

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/engine"
)

// What docker's client sends for a run without options says nothing.
const plainHost = `{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},
	"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":true,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[24,80],
	"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"",
	"Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,
	"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,
	"BlkioWeightDevice":[],"CpuPeriod":0,"CpuQuota":0,"Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,"MemorySwap":0,
	"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":null,"MaskedPaths":null,"ReadonlyPaths":null}`

func TestSettings(t *testing.T) {
	for name, test := range map[string]struct{ body, refused string }{
		"docker's":         {`{"Image":"x","OnBuild":null,"Volumes":{},"HostConfig":` + plainHost + `,"NetworkingConfig":{"EndpointsConfig":{}}}`, ""},
		"a device":         {`{"HostConfig":{"Devices":[{"PathOnHost":"/dev/null"}]}}`, "HostConfig.Devices"},
		"process ids":      {`{"HostConfig":{"PidMode":"host"}}`, "HostConfig.PidMode"},
		"shared memory":    {`{"HostConfig":{"IpcMode":"host"}}`, "HostConfig.IpcMode"},
		"swapping":         {`{"HostConfig":{"MemorySwappiness":0}}`, "HostConfig.MemorySwappiness"},
		"restarts":         {`{"HostConfig":{"RestartPolicy":{"Name":"always"}}}`, "HostConfig.RestartPolicy"},
		"another log":      {`{"HostConfig":{"LogConfig":{"Type":"syslog"}}}`, "HostConfig.LogConfig"},
		"unknown":          {`{"HostConfig":{"Future":1}}`, "HostConfig.Future"},
		"unknown and zero": {`{"HostConfig":{"Future":{"A":[],"B":0}},"More":false}`, ""},
		"health":           {`{"Healthcheck":{"Test":["CMD","x"]}}`, "Healthcheck"},
		"no network":       {`{"NetworkDisabled":true}`, "NetworkDisabled"},
		"masked paths":     {`{"HostConfig":{"MaskedPaths":[]}}`, "HostConfig.MaskedPaths"},
		"some masked":      {`{"HostConfig":{"MaskedPaths":["/proc/kcore"]}}`, "HostConfig.MaskedPaths"},
		"in lower case":    {`{"HostConfig":{"maskedpaths":[]}}`, "HostConfig.maskedpaths"},
		"read-only paths":  {`{"HostConfig":{"ReadonlyPaths":[]}}`, "HostConfig.ReadonlyPaths"},
		"options of a log": {`{"HostConfig":{"LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}}}}`, "HostConfig.LogConfig"},
		"retries":          {`{"HostConfig":{"RestartPolicy":{"Name":"no","MaximumRetryCount":3}}}`, "HostConfig.RestartPolicy"},
		"default as value": {`{"Domainname":"default"}`, "Domainname"},
		"a driver's options": {`{"HostConfig":{"Mounts":[{"Type":"volume","Source":"v","Target":"/v","VolumeOptions":{"DriverConfig":{"Options":{"type":"none","o":"bind","device":"/etc"}}}}]}}`,
			"HostConfig.Mounts.VolumeOptions"},
		"a driver by name":    {`{"HostConfig":{"Mounts":[{"Type":"volume"},{"Type":"volume","VolumeOptions":{"DriverConfig":{"Name":"nfs"}}}]}}`, "HostConfig.Mounts.VolumeOptions"},
		"a part of a volume":  {`{"HostConfig":{"Mounts":[{"Type":"volume","VolumeOptions":{"Subpath":"x"}}]}}`, "HostConfig.Mounts.VolumeOptions"},
		"not copied":          {`{"HostConfig":{"Mounts":[{"Type":"volume","VolumeOptions":{"NoCopy":true}}]}}`, "HostConfig.Mounts.VolumeOptions"},
		"propagation":         {`{"HostConfig":{"Mounts":[{"Type":"bind","BindOptions":{"Propagation":"shared"}}]}}`, "HostConfig.Mounts.BindOptions.Propagation"},
		"options of a tmpfs":  {`{"HostConfig":{"Mounts":[{"Type":"tmpfs","TmpfsOptions":{"Options":[["exec"]]}}]}}`, "HostConfig.Mounts.TmpfsOptions.Options"},
		"mounts without more": {`{"HostConfig":{"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":null,"Labels":{}},"BindOptions":null}]}}`, ""},
		"an address":          {`{"NetworkingConfig":{"EndpointsConfig":{"n":{"IPAMConfig":{"IPv4Address":"10.0.0.5"}}}}}`, "NetworkingConfig.EndpointsConfig.n.IPAMConfig"},
		"a hardware address":  {`{"NetworkingConfig":{"EndpointsConfig":{"n":{"MacAddress":"02:00:00:00:00:01"}}}}`, "EndpointsConfig.n.MacAddress"},
		"an endpoint":         {`{"NetworkingConfig":{"EndpointsConfig":{"n":{"IPAMConfig":{},"Links":null,"Aliases":["a"],"MacAddress":"","GwPriority":0},"m":null}}}`, ""},
		"no object":           {`[1]`, "cannot be read"},
		"no host":             {`{"HostConfig":[1]}`, "cannot be read"},
	} {
		err := containerShape.check(json.RawMessage(test.body), "")
		if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
			t.Errorf("%s: %v, want %q", name, err, test.refused)
		}
	}
}

func TestSpec(t *testing.T) {
	const body = `{"Image":"img","Cmd":["a","b"],"Entrypoint":["e"],"Env":["K=v","UNSET"],"User":"1","WorkingDir":"/w","Hostname":"h","Labels":{"l":"1"},
		"OpenStdin":true,"StopSignal":"SIGINT","ExposedPorts":{"80/tcp":{}},
		"HostConfig":{"Binds":["v:/v:ro"],"Mounts":[{"Type":"volume","Source":"w","Target":"/w2"},{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":9}}],
		"NetworkMode":"net","PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"},{"HostPort":""}]},"AutoRemove":true,"Init":true,"CapAdd":["CHOWN"],
		"CapDrop":["ALL"],"GroupAdd":["7"],"ExtraHosts":["a:1.2.3.4"],"SecurityOpt":["no-new-privileges"],"NanoCpus":1500000000,"CpuShares":3,"CpusetCpus":"0",
		"Memory":9,"MemoryReservation":8,"MemorySwap":-1,"PidsLimit":5,"ShmSize":4,"Tmpfs":{"/u":"size=1"},"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],"ReadonlyRootfs":true},
		"NetworkingConfig":{"EndpointsConfig":{"net":{"Aliases":["other"]}}}}`
	var b createBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		t.Fatal(err)
	}
	got, err := b.spec()
	if err != nil {
		t.Fatal(err)
	}
	want := Spec{
		Labels: map[string]string{"l": "1"}, AutoRemove: true, OpenStdin: true, StopSignal: 2,
		Command: engine.Command{
			Image: "img", Args: []string{"a", "b"}, Entrypoint: []string{"e"}, Env: []string{"K=v"}, WorkingDir: "/w", User: "1", Network: "net",
			Mounts: []engine.Mount{{Volume: "v", Path: "/v", ReadOnly: true}, {Volume: "w", Path: "/w2"}}, CPUs: 1.5, Memory: 9,
			Ports: []string{"[127.0.0.1]:8080:80/tcp", "80/tcp"}, Expose: []string{"80/tcp"}, Hosts: []string{"a:1.2.3.4"}, Aliases: []string{"other"},
			Options: engine.Options{
				Hostname: "h", Init: true, ReadOnly: true, NoNewPrivileges: true, Tmpfs: []string{"/u:size=1", "/t:size=9"}, ShmSize: 4,
				Ulimits: []string{"nofile=1:2"}, CapAdd: []string{"CHOWN"}, CapDrop: []string{"ALL"}, Groups: []string{"7"}, CPUSet: "0", CPUShares: 3,
				Pids: 5, Reservation: 8, Swap: -1,
			},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := containerShape.check(json.RawMessage(body), ""); err != nil {
		t.Error(err)
	}
}

// What a spec cannot say is refused, and what has a place alone is a volume of its own.
func TestSpecRefuses(t *testing.T) {
	for body, refused := range map[string]string{
		`{"HostConfig":{"Binds":["v:/v:ro,rslave"]}}`:                "the mode rslave of a mount",
		`{"HostConfig":{"Binds":["v:/v:nocopy"]}}`:                   "the mode nocopy of a mount",
		`{"HostConfig":{"Binds":["v:/v:ro:x"]}}`:                     "the mode ro:x of a mount",
		`{"HostConfig":{"PidsLimit":-1}}`:                            "HostConfig.PidsLimit",
		`{"HostConfig":{"Memory":-1}}`:                               "HostConfig.Memory is negative",
		`{"HostConfig":{"SecurityOpt":["seccomp=unconfined"]}}`:      "the security option seccomp=unconfined",
		`{"HostConfig":{"Mounts":[{"Type":"npipe","Target":"/v"}]}}`: "a mount of the type npipe",
	} {
		var b createBody
		if err := json.Unmarshal([]byte(body), &b); err != nil {
			t.Fatal(err)
		}
		if _, err := b.spec(); err == nil || !strings.Contains(err.Error(), refused) {
			t.Errorf("%s: %v", body, err)
		}
	}
	var b createBody
	body := `{"StopTimeout":3,"Volumes":{"/a":{},"/b":{}},"HostConfig":{"Binds":["v:/a:z"],"Mounts":[{"Type":"volume","Target":"/c"},{"Type":"tmpfs","Target":"/t","ReadOnly":true,"TmpfsOptions":{"Mode":448}}]}}`
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		t.Fatal(err)
	}
	got, err := b.spec()
	if err != nil || *got.StopTimeout != 3 {
		t.Fatal(err)
	}
	places := map[string]string{}
	for _, m := range got.Mounts {
		places[m.Path] = m.Volume
	}
	if len(got.Mounts) != 3 || places["/a"] != "v" || len(places["/b"]) < 20 || len(places["/c"]) < 20 || places["/b"] == places["/c"] {
		t.Errorf("mounts %+v", got.Mounts)
	}
	if d := cmp.Diff([]string{"/t:ro,mode=700"}, got.Options.Tmpfs); d != "" {
		t.Error(d)
	}
}

// No body and no parameter asks for what is not done.
func TestRequestsThatAreNotCarriedOut(t *testing.T) {
	for _, test := range []struct{ method, target, body, refused string }{
		{"POST", "/volumes/create", `{"Name":"v","DriverOpts":{"type":"none","o":"bind","device":"/etc"}}`, "the setting DriverOpts"},
		{"POST", "/volumes/create", `{"Name":"v","Driver":"nfs"}`, "a driver of its own"},
		{"POST", "/volumes/create", `{"Name":"v","Labels":{"a":"b"}}`, "the setting Labels"},
		{"POST", "/volumes/create", `{"Name":"v","ClusterVolumeSpec":{"Group":"g"}}`, "the setting ClusterVolumeSpec"},
		{"POST", "/networks/create", `{"Name":"n","Internal":true}`, "the setting Internal"},
		{"POST", "/networks/create", `{"Name":"n","Options":{"com.docker.network.bridge.name":"eth0"}}`, "the setting Options"},
		{"POST", "/networks/create", `{"Name":"n","Labels":{"a":"b"}}`, "the setting Labels"},
		{"POST", "/networks/create", `{"Name":"n","IPAM":{"Config":[{"Subnet":"10.0.0.0/8"}]}}`, "the setting IPAM.Config"},
		{"POST", "/networks/create", `{"Name":"n","IPAM":{"Driver":"null"}}`, "the driver of addresses null"},
		{"POST", "/networks/create", `{"Name":"n","EnableIPv4":false}`, "the setting EnableIPv4"},
		{"POST", "/networks/create", `{"Name":"n","ConfigFrom":{"Network":"m"}}`, "the setting ConfigFrom"},
		{"POST", "/containers/create?platform=linux/s390x", `{"Image":"x"}`, "the platform linux/s390x"},
		{"POST", "/containers/c/start?checkpoint=x", ``, "the parameter checkpoint"},
		{"POST", "/images/create?fromImage=x&platform=windows", ``, "the platform windows"},
		{"POST", "/images/x/push?platform=linux", ``, "the parameter platform"},
		{"POST", "/build?memory=1", ``, "the parameter memory"},
		{"POST", "/build?securityopt=[%22a%22]", ``, "the parameter securityopt"},
		{"POST", "/build?future=1", ``, "the parameter future"},
		{"GET", "/containers/json?size=1", ``, "the parameter size"},
	} {
		w := httptest.NewRecorder()
		New(nil, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(test.method, test.target, strings.NewReader(test.body)))
		if w.Code != http.StatusNotImplemented || !strings.Contains(w.Body.String(), test.refused+" is not offered") {
			t.Errorf("%s %s: %d %s", test.target, test.body, w.Code, w.Body)
		}
	}
}

func TestReadBuild(t *testing.T) {
	r := httptest.NewRequest("POST", "/build?t=a&ulimits=[{%22Name%22:%22nofile%22,%22Soft%22:1,%22Hard%22:2}]&cachefrom=[%22x:1%22]&memory=0&rm=1&shmsize=5", nil)
	got, err := readBuild(r)
	want := engine.Build{Tags: []string{"a"}, Dockerfile: "Dockerfile", Args: map[string]string{}, ShmSize: 5, Ulimits: []string{"nofile=1:2"},
		CacheFrom: []engine.Cache{{Kind: "registry", Options: map[string]string{"ref": "x:1"}}}}
	if d := cmp.Diff(want, got); d != "" || err != nil || checkQuery(r, buildOptions) != nil {
		t.Error(d, err, checkQuery(r, buildOptions))
	}
}

func TestFilters(t *testing.T) {
	for text, want := range map[string]filters{
		"":                           nil,
		`{"name":{"a":true}}`:        {"name": {"a"}},
		`{"name":["a","b"]}`:         {"name": {"a", "b"}},
		`{"status":{"exited":true}}`: {"status": {"exited"}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = "filters=" + strings.NewReplacer(`{`, "%7B", `}`, "%7D", `"`, "%22").Replace(text)
		got, err := readFilters(r, "name", "status")
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "[1]", `%7B%22other%22:[%22a%22]%7D`} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = "filters=" + text
		if got, err := readFilters(r, "name"); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestLogReader(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entries := []Entry{
		{Stdout, start, []byte("one\ntw")}, {Stderr, start.Add(time.Second), []byte("error\n")},
		{Stdout, start.Add(2 * time.Second), []byte("o\nthree")},
	}
	for name, test := range map[string]struct {
		reader logReader
		want   string
	}{
		"all":        {logReader{}, "1:one\n|2:error\n|1:two\n|1:three|"},
		"one stream": {logReader{want: map[Stream]bool{Stderr: true}}, "2:error\n|"},
		"skipped":    {logReader{skip: 3}, "1:three|"},
		"since":      {logReader{since: start.Add(time.Second)}, "2:error\n|1:o\n|1:three|"},
		"until":      {logReader{until: start}, "1:one\n|1:tw|"},
		"stamps":     {logReader{stamps: true, want: map[Stream]bool{Stderr: true}}, "2:2026-01-02T03:04:06Z error\n|"},
	} {
		var out strings.Builder
		l := test.reader
		if l.want == nil {
			l.want = map[Stream]bool{Stdout: true, Stderr: true}
		}
		l.emit = func(s Stream, p []byte) error {
			out.WriteString(string('0'+byte(s)) + ":" + string(p) + "|")
			return nil
		}
		for _, e := range entries {
			if err := l.entry(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.rest(); err != nil {
			t.Fatal(err)
		}
		if out.String() != test.want {
			t.Errorf("%s: %q, want %q", name, out.String(), test.want)
		}
	}
}

func TestFrames(t *testing.T) {
	var out bytes.Buffer
	stdout, stderr := outputs(&out, false)
	stdout.Write([]byte("ab"))
	stderr.Write([]byte("c"))
	if got, want := out.String(), "\x01\x00\x00\x00\x00\x00\x00\x02ab\x02\x00\x00\x00\x00\x00\x00\x01c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	out.Reset()
	stdout, stderr = outputs(&out, true)
	stdout.Write([]byte("ab"))
	stderr.Write([]byte("c"))
	if out.String() != "abc" {
		t.Errorf("raw: %q", out.String())
	}
}

// The last line is the reason if it failed, and a line like others if it did not.
func TestLineStream(t *testing.T) {
	for _, test := range []struct {
		text string
		ok   bool
		want string
	}{
		{"one\ntwo\n", true, `{"status":"one"}{"status":"two"}`},
		{"one\ntwo", true, `{"status":"one"}{"status":"two"}`},
		{"one\nreason\n", false, `{"status":"one"}{"error":"reason","errorDetail":{"message":"reason"}}`},
		{"", false, `{"error":"the request failed","errorDetail":{"message":"the request failed"}}`},
	} {
		w := httptest.NewRecorder()
		err := stream(w, "status", func(out io.Writer) (bool, error) {
			_, err := io.WriteString(out, test.text)
			return test.ok, err
		})
		if got := strings.ReplaceAll(w.Body.String(), "\n", ""); err != nil || got != test.want {
			t.Errorf("%q: %s, %v, want %s", test.text, got, err, test.want)
		}
	}
}

// What never ends a line is not held back for it.
func TestLongLines(t *testing.T) {
	const written = 10 * maxLine
	total, held := 0, 0
	l := logReader{want: map[Stream]bool{Stdout: true}, emit: func(_ Stream, p []byte) error { total += len(p); return nil }}
	w := httptest.NewRecorder()
	err := stream(w, "stream", func(out io.Writer) (bool, error) {
		piece := bytes.Repeat([]byte("x"), 1000)
		for n := 0; n < written; n += len(piece) {
			if _, err := out.Write(piece); err != nil {
				return false, err
			}
			if err := l.entry(Entry{Stdout, time.Now(), piece}); err != nil {
				return false, err
			}
			lines := out.(*lineStream)
			held = max(held, len(lines.partial), len(lines.last), len(l.partial[Stdout]))
		}
		return true, nil
	})
	if err != nil || l.rest() != nil {
		t.Fatal(err)
	}
	if held > maxLine+1000 {
		t.Errorf("%d bytes were held back", held)
	}
	if shown := strings.Count(w.Body.String(), "x"); total < written || shown < written {
		t.Errorf("%d and %d bytes of %d came", total, shown, written)
	}
}

// Newer clients bring a BuildKit of their own. They learn what to do instead.
func TestBuildKitIsNotOffered(t *testing.T) {
	for _, path := range []string{"/session", "/v1.47/grpc", "/build?version=2"} {
		w := httptest.NewRecorder()
		New(nil, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("POST", path, nil))
		if w.Code != http.StatusNotImplemented || !strings.Contains(w.Body.String(), "DOCKER_BUILDKIT=0") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body.String())
		}
	}
}

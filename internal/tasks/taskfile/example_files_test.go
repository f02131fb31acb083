package taskfile

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// example is what the leading comment lines of a file in testdata say.
type example struct {
	in      Input
	secrets map[string]string
	expect  map[string][]string // "step", "prop", "edge", … → lines
}

func standardRun() Run {
	return Run{
		ID: "cf10", Registry: "myregistry.azurecr.io", RegistryName: "myregistry", Date: "20240102-030405z",
		Commit: "0f988779c97fe0bfc7f2f74b88531617f4421643", Branch: "main", Repository: "https://github.com/contoso/web.git",
		TriggeredBy: "Manual", SharedVolume: "acb_vol_11111111-2222-3333-4444-555555555555",
		OS: "linux", Architecture: "amd64", TaskName: "mytask",
	}
}

func readExample(t *testing.T, path string) *example {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ex := &example{secrets: map[string]string{}, expect: map[string][]string{}}
	ex.in = Input{Name: filepath.Base(path), File: text, Run: standardRun()}
	ex.in.AliasSource = func(_ context.Context, src string) ([]byte, error) { return readTestdata(src) }
	for line := range strings.Lines(string(text)) {
		line, isComment := strings.CutPrefix(strings.TrimRight(line, "\n"), "# ")
		key, value, found := strings.Cut(line, ": ")
		switch {
		case !isComment || !found:
		case strings.HasPrefix(key, "given "):
			ex.given(t, strings.TrimPrefix(key, "given "), value)
		default:
			ex.expect[key] = append(ex.expect[key], value)
		}
	}
	return ex
}

// readTestdata opens with names relative to testdata, so that errors show them as written.
func readTestdata(name string) ([]byte, error) {
	root, err := os.OpenRoot("testdata")
	if err != nil {
		return nil, err
	}
	defer root.Close()
	text, err := root.ReadFile(name)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return text, nil
}

func (ex *example) given(t *testing.T, what, value string) {
	if value == "(empty)" {
		value = ""
	}
	switch what {
	case "set":
		set, err := ParseSet(value)
		if err != nil {
			t.Fatal(err)
		}
		ex.in.Values = append(ex.in.Values, set)
	case "values":
		file, err := readTestdata(value)
		if err != nil {
			t.Fatal(err)
		}
		ex.in.ValuesFile = file
	case "secret":
		id, text, _ := strings.Cut(value, "=")
		ex.secrets[id] = text
	case "service-env":
		ex.in.ServiceEnv = append(ex.in.ServiceEnv, value)
	case "task-name":
		ex.in.Run.TaskName = value
	case "commit":
		ex.in.Run.Commit = value
	case "branch":
		ex.in.Run.Branch = value
	default:
		t.Fatalf("unknown fact: given %s", what)
	}
}

func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d examples, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			ex := readExample(t, path)
			var mu sync.Mutex
			var fetched []string
			ex.in.Secret = func(_ context.Context, secret Secret) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				fetched = append(fetched, secret.Vault+"/secrets/"+secret.Name)
				return ex.secrets[secret.ID], nil
			}
			plan, err := Render(t.Context(), ex.in)
			if ex.expect["expect"][0] == "error" {
				wantError(t, err, ex.expect["error"][0])
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if urls := ex.expect["fetch"]; urls != nil {
				diff(t, "fetched", urls, fetched)
			}
			ex.check(t, plan)
		})
	}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	// The wording of the library for files is the system's, after its own prefix.
	text = strings.ReplaceAll(text, "no such file or directory", "file does not exist")
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error:\n got %v\nwant %s", err, text)
	}
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func (ex *example) check(t *testing.T, plan *Plan) {
	if mode := ex.expect["alias-mode"]; mode != nil {
		diff(t, "alias mode", mode[0] == "yes", plan.AliasMode)
		diff(t, "AliasMode", mode[0] == "yes", AliasMode(ex.in.File))
	}
	var steps []string
	for _, step := range plan.Steps {
		steps = append(steps, describe(t, &step))
	}
	diff(t, "steps", normaliseSteps(t, ex.expect["step"]), steps)
	diff(t, "properties", ex.properties(t), properties(plan, ex.expect["prop"]))
	edges := plan.Edges()
	sort.Strings(edges)
	diff(t, "edges", ex.expect["edge"], edges)
	if networks := ex.expect["network"]; networks != nil {
		diff(t, "networks", networks, describeNetworks(plan))
	}
	ex.checkVolumes(t, plan)
	if lines := ex.expect["run"]; lines != nil {
		diff(t, "command lines", unquoteLines(t, lines), commandLines(plan))
	}
	if strings.Contains(ex.in.Name, "env-06") {
		diff(t, "altered", []string{"the variable OPTS"}, plan.Steps[0].Altered())
		return
	}
	// Nothing in the others is data that a shell would take apart.
	for _, step := range plan.Steps {
		diff(t, "altered", []string(nil), step.Altered())
		diff(t, "line", step.ReferenceLine(plan.SharedVolume), step.CommandLine(plan.SharedVolume))
	}
}

func commandLines(plan *Plan) []string {
	var lines []string
	for _, step := range plan.Steps {
		if step.Kind != KindPush {
			lines = append(lines, step.ReferenceLine(plan.SharedVolume))
		}
	}
	return lines
}

func unquoteLines(t *testing.T, lines []string) []string {
	var plain []string
	for _, line := range lines {
		if strings.HasPrefix(line, `"`) {
			text, err := strconv.Unquote(line)
			if err != nil {
				t.Fatal(err)
			}
			line = text
		}
		plain = append(plain, line)
	}
	return plain
}

func describe(t *testing.T, step *Step) string {
	var content any
	switch step.Kind {
	case KindCmd:
		content = step.Cmd
	case KindBuild:
		content = step.Build.Text
	case KindPush:
		content = step.Push
	}
	return step.ID + " " + string(step.Kind) + " " + toJSON(t, content)
}

func toJSON(t *testing.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// normaliseSteps writes the JSON of the expectations as this test does.
func normaliseSteps(t *testing.T, lines []string) []string {
	var steps []string
	for _, line := range lines {
		words := strings.SplitN(line, " ", 3)
		var content any
		if err := json.Unmarshal([]byte(words[2]), &content); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		steps = append(steps, words[0]+" "+words[1]+" "+toJSON(t, content))
	}
	return steps
}

// properties of the plan that differ from their defaults; "named" adds those that
// an expectation names although they are at their default.
func properties(plan *Plan, named []string) map[string]any {
	found := map[string]any{}
	for _, step := range plan.Steps {
		for name, value := range stepProperties(&step, plan) {
			key := step.ID + "." + name
			isNamed := slices.ContainsFunc(named, func(line string) bool { return strings.HasPrefix(line, key+" ") })
			if !isZero(value) || isNamed {
				found[key] = value
			}
		}
	}
	return found
}

func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func stepProperties(s *Step, plan *Plan) map[string]any {
	props := map[string]any{
		"cache": s.Cache, "cmdDownloadRetries": float64(s.DownloadRetries), "cmdDownloadRetryDelay": s.DownloadRetryDelay.Seconds(),
		"cpus": s.CPUs, "detach": s.Detach, "disableWorkingDirectoryOverride": s.DisableWorkingDirectoryOverride,
		"entryPoint": s.EntryPoint, "env": list(s.Env), "expose": list(s.Expose), "ports": list(s.Ports),
		"ignoreErrors": s.IgnoreErrors, "isolation": s.Isolation, "keep": s.Keep, "privileged": s.Privileged, "pull": s.Pull,
		"repeat": float64(s.Repeat), "retries": float64(s.Retries), "retryOnErrors": list(s.RetryOnErrors),
		"startDelay": s.StartDelay.Seconds(), "user": s.User, "workingDirectory": s.WorkingDirectory,
		"tags": list(s.Build.Tags), "buildArgs": list(s.Build.Args), "buildkit": s.Build.BuildKit,
	}
	if s.Timeout != 600*time.Second {
		props["timeout"] = s.Timeout.Seconds()
	}
	if s.RetryDelay != 5*time.Second {
		props["retryDelay"] = s.RetryDelay.Seconds()
	}
	if s.Network != DefaultNetwork && s.Network != plan.defaultNetwork() || s.Network == "" {
		props["network"] = s.Network
	}
	var mounts []string
	for _, mount := range s.Mounts {
		mounts = append(mounts, mount.Volume+":"+mount.Path)
	}
	props["mounts"] = list(mounts)
	if len(plan.Networks) > 0 && plan.Networks[0].Name != DefaultNetwork {
		props["network"] = s.Network
	}
	return props
}

func list(texts []string) []any {
	values := []any{}
	for _, text := range texts {
		values = append(values, text)
	}
	return values
}

func (ex *example) properties(t *testing.T) map[string]any {
	want := map[string]any{}
	for _, line := range ex.expect["prop"] {
		key, text, _ := strings.Cut(line, " = ")
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		want[key] = value
	}
	return want
}

func describeNetworks(plan *Plan) []string {
	var lines []string
	for _, n := range plan.Networks {
		driver := n.Driver
		if driver == "" {
			driver = "-"
		}
		lines = append(lines, n.Name+" driver="+driver+" ipv6="+strconv.FormatBool(n.IPv6)+
			" skipCreation="+strconv.FormatBool(n.SkipCreation)+" isDefault="+strconv.FormatBool(n.Default))
	}
	return lines
}

func (ex *example) checkVolumes(t *testing.T, plan *Plan) {
	var names []string
	files := map[string]string{}
	for _, volume := range plan.Volumes {
		names = append(names, volume.Name)
		decoded, err := volume.Decode()
		if err != nil {
			continue // checked by a test of its own
		}
		for name, content := range decoded {
			files[volume.Name+"/"+name] = strings.TrimSuffix(string(content), "\n")
		}
	}
	diff(t, "volumes", ex.expect["volume"], names)
	for _, line := range ex.expect["file"] {
		key, text, _ := strings.Cut(line, " = ")
		diff(t, key, text, toJSON(t, files[key]))
	}
}

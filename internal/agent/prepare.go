package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/source"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// noContext is what some clients send for "no context".
const noContext = "/dev/null"

// hasContext reports whether the job has a context of its own.
func (r *run) hasContext() bool {
	return r.job.Step.Context != "" && r.job.Step.Context != noContext
}

// downloadFailed ends a run whose context could not be fetched.
const downloadFailed = "failed to download context. Please check if the URL is incorrect. If it has credentials, please check if they are expired"

// fetchContext makes the workspace: the context of the job, or an empty directory.
func (r *run) fetchContext(ctx context.Context) error {
	if !r.hasContext() {
		return os.Mkdir(r.workspace(), 0o755)
	}
	r.log.Printf("Downloading source code...")
	if taskfile.ParseContext(r.job.Step.Context).Kind == taskfile.ContextArtifact {
		if err := r.resolveLogins(ctx); err != nil { // earlier than others need them
			return err
		}
	}
	fetched, err := r.agent.asked.sources.Fetch(ctx, source.Request{
		Context: r.job.Step.Context, Token: r.job.Step.ContextToken, Dir: filepath.Join(r.dir, "source"), Credential: r.credentials.Credential,
	})
	if err != nil {
		return err
	}
	if err := os.Rename(fetched.Dir, r.workspace()); err != nil {
		return fmt.Errorf("moving the context into the workspace: %w", err)
	}
	r.commit, r.branch = fetched.Commit, cmp.Or(r.job.Branch, fetched.Branch)
	r.log.Printf("Finished downloading source code")
	return nil
}

// fetchStep gets the context of a build step. The token of the run's own context
// goes to the same host only.
func (r *run) fetchStep(ctx context.Context, build taskfile.Context, dir string) (string, error) {
	request := source.Request{Context: build.Text, Dir: dir, Credential: r.credentials.Credential}
	if host := hostOf(build.Text); host != "" && host == hostOf(r.job.Step.Context) {
		request.Token = r.job.Step.ContextToken
	}
	fetched, err := r.named().sources.Fetch(ctx, request)
	return fetched.Commit, err
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// plan makes the plan of the job.
func (r *run) plan(ctx context.Context) (*taskfile.Plan, error) {
	if r.job.Step.Kind == lease.Docker {
		return r.dockerPlan()
	}
	in := taskfile.Input{
		Name: "decoded", File: r.job.Step.Task, ValuesFile: r.job.Step.ValuesFile,
		Run: r.values(), ServiceEnv: r.serviceEnv(), ImageAliases: r.agent.ImageAliases,
		AliasSource: r.aliasSource, Secret: r.vaultSecret,
	}
	for _, value := range r.job.Step.Values {
		in.Values = append(in.Values, taskfile.Value{Name: value.Name, Value: value.Value})
	}
	if r.job.Step.Kind == lease.FileTask {
		if err := r.loadFiles(&in); err != nil {
			return nil, err
		}
	}
	if taskfile.AliasMode(in.File) {
		r.log.Printf("Alias support enabled for version >= 1.1.0, please see https://aka.ms/acr/tasks/task-aliases for more information.")
	}
	plan, err := taskfile.Render(ctx, in)
	switch {
	case err == nil:
		for _, value := range plan.SecretValues {
			r.mask.Add(secret.New(value))
		}
		return plan, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, lease.ErrLost):
		return nil, err
	}
	return nil, r.explainFile(err)
}

// explainFile is for a task file that cannot be run: the runner's words on their own
// line, and where in the file it is on the next one.
func (r *run) explainFile(err error) error {
	var placed *taskfile.Error
	if !errors.As(err, &placed) {
		return engine.Failure(err.Error())
	}
	file := "the task file"
	if r.job.Step.Kind == lease.EncodedTask && taskfile.IsShifted(r.job.Step.Task) {
		file += " as it was sent" // with a line before it that the client has put there
	}
	return engine.Failure(fmt.Sprintf("%v\nhint: %s of %s", err, placed.Place(), file))
}

// loadFiles reads the task file and the values file from the context.
func (r *run) loadFiles(in *taskfile.Input) (err error) {
	in.Name = r.job.Step.TaskPath
	if in.Name == "" {
		in.Name = "acb.yaml"
	}
	if in.File, err = r.readContext(in.Name); err != nil {
		return engine.Failure(fmt.Sprintf("failed to load template at path %s: %v", in.Name, err))
	}
	if name := r.job.Step.ValuesPath; name != "" {
		if in.ValuesFile, err = r.readContext(name); err != nil {
			return engine.Failure(fmt.Sprintf("failed to load values at path %s: %v", name, err))
		}
	}
	return nil
}

// readContext reads a file of the context. It does not follow links out of it.
func (r *run) readContext(name string) ([]byte, error) {
	text, err := engine.ReadBelow(r.workspace(), name)
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: pathError.Err}
	}
	return text, err
}

func (r *run) dockerPlan() (*taskfile.Plan, error) {
	step := r.job.Step.Build
	build := taskfile.DockerBuild{
		Dockerfile: step.Dockerfile, Target: step.Target, Platform: r.foreign(step.Platform), Images: step.Images, Push: step.Push, NoCache: step.NoCache,
		Run: r.values(), ServiceEnv: r.serviceEnv(),
	}
	for _, argument := range step.Arguments {
		value := taskfile.Value{Name: argument.Name, Value: argument.Value}
		if argument.Secret {
			build.SecretArgs = append(build.SecretArgs, value)
		} else {
			build.Args = append(build.Args, value)
		}
	}
	for _, login := range r.job.Logins {
		build.Registries = append(build.Registries, login.Registry)
	}
	plan, err := build.Plan()
	if err != nil {
		return nil, engine.Failure(err.Error())
	}
	return plan, nil
}

// foreign is the platform of an image unless it is this agent's, which builds are for anyway.
func (r *run) foreign(platform string) string {
	if platform == r.agent.Agent.OS+"/"+r.agent.Agent.Arch {
		return ""
	}
	return platform
}

// values are what task files see as .Run.
func (r *run) values() taskfile.Run {
	return taskfile.Run{
		ID: r.job.RunID, Commit: r.commit, Branch: r.branch, Repository: r.job.Repository, TriggeredBy: r.job.TriggeredBy,
		Registry: r.job.LoginServer, RegistryName: r.job.RegistryName, Date: r.started.UTC().Format(taskfile.DateFormat),
		SharedVolume: r.sharedVolume, OS: r.job.OS, Architecture: r.job.Arch, TaskName: r.job.TaskName,
	}
}

// serviceEnv are the variables that every step has.
func (r *run) serviceEnv() []string {
	return append([]string{"ACR_DEFAULT_REGISTRY=" + r.job.LoginServer, "ACR_TASK_HOSTED=1"}, r.metadata.Environment()...)
}

// Limits of what a task file refers to.
const (
	aliasLimit   = 2 * time.Second
	maxReference = 1 << 20
)

// aliasSource reads aliases from a URL or from the context.
func (r *run) aliasSource(ctx context.Context, src string) ([]byte, error) {
	if !strings.HasPrefix(src, "http://") && !strings.HasPrefix(src, "https://") {
		return r.readContext(src)
	}
	ctx, cancel := context.WithTimeout(ctx, aliasLimit)
	defer cancel()
	code, body, err := r.get(ctx, src, secret.String{})
	if err != nil {
		return nil, err
	}
	if code > 299 {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}

// vaultSecret reads a secret of a key vault with one of the task's identities.
func (r *run) vaultSecret(ctx context.Context, wanted taskfile.Secret) (string, error) {
	token, err := r.token(ctx, lease.TokenRequest{Audience: wanted.Audience, ClientID: wanted.ClientID})
	var p *problem.Error
	if errors.As(err, &p) && !p.Kind.Ours() {
		return "", errors.New(p.Text())
	}
	if err != nil {
		return "", err
	}
	r.mask.Add(token.Token)
	address := wanted.Vault + "/secrets/" + url.PathEscape(wanted.Name) + "/" + url.PathEscape(wanted.Version) + "?api-version=7.0"
	code, body, err := r.get(ctx, address, token.Token)
	if err != nil {
		return "", err
	}
	if code != http.StatusOK {
		return "", fmt.Errorf("%s answers %d: %s", wanted.Vault+"/secrets/"+wanted.Name, code, strings.TrimSpace(string(body)))
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("reading the answer of %s: %w", wanted.Vault, err)
	}
	r.mask.Add(secret.New(answer.Value))
	return answer.Value, nil
}

// get reads a small document.
func (r *run) get(ctx context.Context, address string, bearer secret.String) (code int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, err
	}
	if !bearer.Empty() {
		request.Header.Set("Authorization", "Bearer "+bearer.Reveal())
	}
	response, err := r.named().client().Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxReference))
	return response.StatusCode, body, err
}

package run

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/task"
	"github.com/acrux/acrux/internal/tasks/upload"
)

// Request asks for a run. Type says which members count: TaskRunRequest names a
// task; the others carry the members of a step themselves.
type Request struct {
	Type             string  `json:"type"`
	IsArchiveEnabled bool    `json:"isArchiveEnabled"`
	AgentPoolName    *string `json:"agentPoolName"`
	LogTemplate      *string `json:"logTemplate"`

	TaskID   string    `json:"taskId"`
	Override *Override `json:"overrideTaskStepProperties"`

	task.Step
	Timeout            int                      `json:"timeout"`
	Platform           *task.Platform           `json:"platform"`
	AgentConfiguration *task.AgentConfiguration `json:"agentConfiguration"`
	SourceLocation     string                   `json:"sourceLocation"`
	Credentials        *task.Credentials        `json:"credentials"`

	// Identity is who a run without a task may speak for. No request says that itself:
	// it comes from a resource, whose writer was asked for the right to assign it.
	Identity *arm.Identity `json:"-"`
	// Cause is why there is to be a run of a task, where no request asks for it.
	Cause Cause `json:"-"`
}

// Override replaces parts of a task's step for one run.
type Override struct {
	ContextPath        string       `json:"contextPath"`
	File               string       `json:"file"`
	Arguments          []task.Value `json:"arguments"`
	Target             string       `json:"target"`
	Values             []task.Value `json:"values"`
	UpdateTriggerToken string       `json:"updateTriggerToken"`
}

// stepTypes maps the types of direct requests to those of steps, and to run types.
var stepTypes = map[string]struct{ step, run string }{
	"EncodedTaskRunRequest": {"EncodedTask", "QuickRun"},
	"FileTaskRunRequest":    {"FileTask", "QuickRun"},
	"DockerBuildRequest":    {"Docker", "QuickBuild"},
}

// plan is what a request comes to: a row without number and times, and its job.
type plan struct {
	row Row
	job lease.Job
}

// plan turns a request into a row and a job.
func (s *Service) plan(ctx context.Context, registry arm.ID, req Request) (plan, error) {
	if req.LogTemplate != nil && *req.LogTemplate != "" {
		return plan{}, problem.New(problem.Unsupported, "NotImplemented", "Log templates are not available in this version of Acrux.").On("logTemplate")
	}
	if req.Type == "TaskRunRequest" {
		return s.planTask(ctx, registry, req)
	}
	kind, ok := stepTypes[req.Type]
	if !ok {
		return plan{}, problem.New(problem.Invalid, "InvalidRequestContent", "The run request type '%s' is not one of TaskRunRequest, EncodedTaskRunRequest, FileTaskRunRequest, DockerBuildRequest.", req.Type).On("type")
	}
	if err := req.checkUnused(); err != nil {
		return plan{}, err
	}
	step := req.Step
	step.Type, step.ContextPath = kind.step, req.SourceLocation
	properties := task.Properties{Step: &step, Timeout: req.Timeout, Platform: req.Platform, AgentConfiguration: req.AgentConfiguration, Credentials: req.Credentials}
	if err := task.Check(&properties); err != nil {
		return plan{}, err
	}
	properties.AgentPoolName = req.AgentPoolName
	p, err := s.assemble(ctx, registry, properties)
	p.row.Properties.RunType = kind.run
	p.row.Properties.IsArchiveEnabled = req.IsArchiveEnabled
	if err != nil {
		return p, err
	}
	return p, s.identities(ctx, &p.job, req.Identity)
}

func (s *Service) planTask(ctx context.Context, registry arm.ID, req Request) (plan, error) {
	id, err := arm.ParseID(req.TaskID)
	if err != nil || !registry.Contains(id) || id.Kind().Key() != task.Kind.Key() {
		return plan{}, problem.New(problem.Invalid, "InvalidTaskId", "'%s' is not the ID of a task of registry '%s'.", req.TaskID, registry.Name()).On("taskId")
	}
	t, err := s.Tasks.Details(ctx, id)
	if err != nil {
		return plan{}, err
	}
	if t.Properties.Status == "Disabled" {
		return plan{}, problem.New(problem.Conflict, "TaskDisabled", "The task '%s' is disabled.", id.Name()).
			Hint("az acr task update --name %s --registry %s --status Enabled", id.Name(), registry.Name())
	}
	if err := errors.Join(req.checkUnused(), req.Override.checkUnused(t.Properties.Step.Type)); err != nil {
		return plan{}, err
	}
	properties := t.Properties
	applyOverride(properties.Step, req.Override)
	if req.Cause.Source != nil {
		atChange(&properties, req.Cause.Source)
	}
	if req.AgentPoolName != nil {
		properties.AgentPoolName = req.AgentPoolName
	}
	p, err := s.assemble(ctx, registry, properties)
	if err != nil {
		return p, err
	}
	name := t.ID.Name()
	p.row.Task, p.row.Properties.Task, p.row.Properties.IsArchiveEnabled = t.ID, &name, req.IsArchiveEnabled
	p.row.Properties.RunType = "AutoRun"
	if properties.Step.Type == "Docker" {
		p.row.Properties.RunType = "AutoBuild"
	}
	if req.Override != nil && req.Override.UpdateTriggerToken != "" {
		p.row.Properties.UpdateTriggerToken = &req.Override.UpdateTriggerToken
	}
	p.row.Properties.TimerTrigger, p.row.Properties.ImageUpdateTrigger = req.Cause.Timer, req.Cause.Image
	if change := req.Cause.Source; change != nil {
		p.row.Properties.SourceTrigger = change
		p.job.Branch, p.job.Repository = change.BranchName, change.RepositoryURL
	}
	p.job.TaskName, p.job.TaskID, p.job.TriggeredBy = name, t.ID.String(), req.Cause.Word()
	return p, s.identities(ctx, &p.job, t.Identity)
}

// atChange has a run build the commit that started it. A step without a credential takes that
// of the trigger, which is for the same repository.
func atChange(p *task.Properties, change *SourceChange) {
	p.Step.ContextPath = p.Step.AtCommit(change.CommitID)
	trigger := p.SourceNamed(change.Trigger)
	if trigger != nil && trigger.Repository.Auth != nil && p.Step.ContextAccessToken == nil {
		p.Step.ContextAccessToken = trigger.Repository.Auth.Token
	}
}

// applyOverride merges lists by name and replaces the rest.
func applyOverride(step *task.Step, o *Override) {
	if o == nil {
		return
	}
	if o.ContextPath != "" && !sameHost(step.ContextPath, o.ContextPath) {
		step.ContextAccessToken = nil // the credential does not follow to another host
	}
	replace(&step.ContextPath, o.ContextPath)
	replace(&step.Target, o.Target)
	switch step.Type {
	case "FileTask":
		replace(&step.TaskFilePath, o.File)
	case "Docker":
		replace(&step.DockerFilePath, o.File)
	}
	step.Values = mergeValues(step.Values, o.Values)
	step.Arguments = mergeValues(step.Arguments, o.Arguments)
}

// sameHost reports whether two URLs lead to the same server in the same way.
func sameHost(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Host != "" && x.Scheme == y.Scheme && strings.EqualFold(x.Host, y.Host)
}

func replace(text *string, by string) {
	if by != "" {
		*text = by
	}
}

func mergeValues(base, over []task.Value) []task.Value {
	merged := append([]task.Value(nil), base...)
next:
	for _, v := range over {
		for i := range merged {
			if merged[i].Name == v.Name {
				merged[i] = v
				continue next
			}
		}
		merged = append(merged, v)
	}
	return merged
}

// assemble makes row and job from checked properties.
func (s *Service) assemble(ctx context.Context, registry arm.ID, p task.Properties) (plan, error) {
	if err := s.checkContext(registry, p.Step.ContextPath); err != nil {
		return plan{}, err
	}
	pool, err := s.pool(ctx, registry, p.AgentPoolName)
	if err != nil {
		return plan{}, err
	}
	step, err := jobStep(p.Step)
	if err != nil {
		return plan{}, err
	}
	mode := "Default"
	if p.Credentials != nil && p.Credentials.SourceRegistry != nil && strings.EqualFold(p.Credentials.SourceRegistry.LoginMode, "None") {
		mode = "None"
	}
	arch := p.Platform.Architecture
	if step.Kind == lease.Docker {
		arch, step.Build.Platform = anyArch, p.Platform.Image()
	}
	limit := time.Duration(p.Timeout) * time.Second
	row := Row{Status: Queued, Pool: pool, OS: p.Platform.OS, Arch: arch, Timeout: limit, Properties: Properties{
		ProvisioningState: "Succeeded", AgentPoolName: p.AgentPoolName, Platform: p.Platform, AgentConfiguration: p.AgentConfiguration,
		SourceRegistryAuth: &mode, CustomRegistries: p.LoginServers(), OutputImages: nil}}
	job := lease.Job{Step: step, Timeout: limit, OS: p.Platform.OS, Arch: p.Platform.Architecture, TriggeredBy: "Manual"}
	job.Logins = Logins(p)
	return plan{row: row, job: job}, nil
}

// pool is the key of the pool that is named, which must be there.
func (s *Service) pool(ctx context.Context, registry arm.ID, name *string) (string, error) {
	if name == nil || *name == "" {
		return "", nil
	}
	return poolKey(*name), s.Pools.Check(ctx, registry, *name)
}

// Logins are those of a task at other registries, in the order of their names. The run's
// own is added when the run is leased, since its credential is made then.
func Logins(p task.Properties) []lease.Login {
	var all []lease.Login
	for _, host := range p.LoginServers() {
		c := p.Credentials.Custom[host]
		login := lease.Login{Registry: host}
		switch {
		case c.Identity == nil || *c.Identity == "":
			login.Username, login.Password = revealed(c.UserName), revealed(c.Password)
		case task.IsSystem(*c.Identity):
			login.Identity = lease.SystemIdentity
		default:
			login.Identity = strings.ToLower(*c.Identity)
		}
		all = append(all, login)
	}
	return all
}

func revealed(v *task.SecretValue) secret.String {
	if v == nil || v.Value == nil {
		return secret.String{}
	}
	return secret.New(*v.Value)
}

// noContext is how clients write that there is no context.
const noContext = "/dev/null"

// checkContext accepts URLs, and uploads that belong to the registry and are complete. What
// it accepts is taken by Schedule.
func (s *Service) checkContext(registry arm.ID, path string) error {
	if task.IsFetched(path) {
		return nil
	}
	name, ok := upload.Registry(path)
	switch {
	case !ok:
		return problem.New(problem.Invalid, "InvalidSourceLocation", "The source location '%s' is neither a URL nor an upload.", path).On("sourceLocation")
	case !strings.EqualFold(name, registry.Name()) || !s.Uploads.Exists(path):
		return problem.New(problem.NotFound, "SourceLocationNotFound", "The upload '%s' was not found in registry '%s'.", path, registry.Name()).On("sourceLocation")
	}
	return nil
}

func jobStep(s *task.Step) (lease.Step, error) {
	step := lease.Step{Kind: lease.StepKind(s.Type), Context: s.ContextPath, TaskPath: s.TaskFilePath, ValuesPath: s.ValuesFilePath, Values: values(s.Values)}
	if strings.EqualFold(step.Context, noContext) {
		step.Context = ""
	}
	if s.ContextAccessToken != nil {
		step.ContextToken = secret.New(*s.ContextAccessToken)
	}
	var err error
	if step.Task, err = base64.StdEncoding.DecodeString(s.EncodedTaskContent); err != nil {
		return step, err
	}
	if step.ValuesFile, err = base64.StdEncoding.DecodeString(s.EncodedValues); err != nil {
		return step, err
	}
	step.Build = lease.DockerBuild{Dockerfile: s.DockerFilePath, Target: s.Target, Images: s.ImageNames, NoCache: s.NoCache,
		Push: s.IsPushEnabled == nil || *s.IsPushEnabled, Arguments: values(s.Arguments)}
	return step, nil
}

// ownImages checks the names that a build pushes under, and puts the login server for the other
// names of the run's registry, so that the outcome is told of one registry alone.
func (s *Service) ownImages(reg arm.Resource[registry.Properties], p plan) (images []string, err error) {
	own := append([]string{reg.Properties.LoginServer}, s.aliases(reg.ID)...)
	known := slices.Concat(own, p.row.Properties.CustomRegistries)
	for _, name := range p.job.Step.Build.Images {
		if err := oci.CheckBuildName(name, known...); err != nil {
			return nil, problem.New(problem.Invalid, "InvalidParameterValue", "%v.", err).On("imageNames")
		}
		host, rest, _ := strings.Cut(name, "/")
		if slices.ContainsFunc(own, func(one string) bool { return strings.EqualFold(host, one) }) {
			name = reg.Properties.LoginServer + "/" + rest
		}
		images = append(images, name)
	}
	return images, nil
}

// aliases are the other names of a registry, sorted.
func (s *Service) aliases(id arm.ID) (hosts []string) {
	for alias, meant := range s.Registries.Aliases {
		if meant.Key() == id.Key() {
			hosts = append(hosts, alias)
		}
	}
	slices.Sort(hosts)
	return hosts
}

func values(list []task.Value) []lease.Value {
	all := make([]lease.Value, 0, len(list))
	for _, v := range list {
		text := ""
		if v.Value != nil {
			text = *v.Value
		}
		all = append(all, lease.Value{Name: v.Name, Value: text, Secret: v.IsSecret})
	}
	return all
}

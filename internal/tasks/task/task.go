// Package task holds the Task resource: what to do (a step), when (triggers), as
// whom (identity) and with which credentials for which registries.
//
// A task only describes. Package run makes runs of it, which pin the description as
// it was.
package task

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/upload"
)

// Kind is the kind of tasks.
var Kind = arm.NewKind("Microsoft.ContainerRegistry/registries/tasks")

// Properties are those of a task, on the wire and in its document. Secret members
// are taken out before the document is stored.
type Properties struct {
	ProvisioningState  string              `json:"provisioningState"`
	CreationDate       string              `json:"creationDate"`
	Status             string              `json:"status"`
	Platform           *Platform           `json:"platform"`
	AgentConfiguration *AgentConfiguration `json:"agentConfiguration"`
	AgentPoolName      *string             `json:"agentPoolName"`
	Timeout            int                 `json:"timeout"` // seconds
	Step               *Step               `json:"step"`
	Trigger            *Trigger            `json:"trigger"`
	Credentials        *Credentials        `json:"credentials"`
	LogTemplate        *string             `json:"logTemplate"`
	IsSystemTask       bool                `json:"isSystemTask"`
}

// AgentConfiguration says how much of an agent a run takes.
type AgentConfiguration struct {
	CPU int `json:"cpu"`
}

// Step is what a task does. Type says which members count.
type Step struct {
	Type               string      `json:"type"` // EncodedTask, FileTask, Docker
	ContextPath        string      `json:"contextPath,omitempty"`
	ContextAccessToken *string     `json:"contextAccessToken,omitempty"` // secret
	BaseImages         []BaseImage `json:"baseImageDependencies"`
	EncodedTaskContent string      `json:"encodedTaskContent,omitempty"`
	EncodedValues      string      `json:"encodedValuesContent,omitempty"`
	TaskFilePath       string      `json:"taskFilePath,omitempty"`
	ValuesFilePath     string      `json:"valuesFilePath,omitempty"`
	Values             []Value     `json:"values,omitempty"`
	DockerFilePath     string      `json:"dockerFilePath,omitempty"`
	ImageNames         []string    `json:"imageNames,omitempty"`
	IsPushEnabled      *bool       `json:"isPushEnabled,omitempty"`
	NoCache            bool        `json:"noCache,omitempty"`
	Target             string      `json:"target,omitempty"`
	Arguments          []Value     `json:"arguments,omitempty"`
}

// BaseImage is an image that the last good run of the step was built on.
type BaseImage struct {
	Type       string `json:"type"` // RunTime, BuildTime
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest,omitempty"`
}

// Value is a set value or a build argument; a secret one has no value on the wire.
type Value struct {
	Name     string  `json:"name"`
	Value    *string `json:"value,omitempty"`
	IsSecret bool    `json:"isSecret"`
}

// Wire is a value as requests have it: some clients say what it is.
func (Value) Wire() any {
	return struct {
		Name     string `json:"name"`
		Value    string `json:"value"`
		IsSecret bool   `json:"isSecret"`
		Type     string `json:"type"` // SetValue, Argument
	}{}
}

// Trigger says what makes a run besides a person.
type Trigger struct {
	Timer     []TimerTrigger    `json:"timerTriggers"`
	Source    []SourceTrigger   `json:"sourceTriggers"`
	BaseImage *BaseImageTrigger `json:"baseImageTrigger"`
}

// BaseImageTrigger makes runs when a base image changes.
type BaseImageTrigger struct {
	Name              string  `json:"name"`
	Type              string  `json:"baseImageTriggerType"`
	Status            string  `json:"status"`
	UpdateEndpoint    *string `json:"updateTriggerEndpoint,omitempty"`
	UpdatePayloadType string  `json:"updateTriggerPayloadType,omitempty"`
}

// Credentials are for the registries that a run of the task logs in to.
type Credentials struct {
	SourceRegistry *SourceRegistry              `json:"sourceRegistry"`
	Custom         map[string]*CustomCredential `json:"customRegistries"`
}

// SourceRegistry says how a run logs in to its own registry.
type SourceRegistry struct {
	LoginMode string  `json:"loginMode,omitempty"` // Default, None
	Identity  *string `json:"identity,omitempty"`
}

// CustomCredential is for one other registry: a user name and password, or an
// identity of the task.
type CustomCredential struct {
	UserName *SecretValue `json:"userName"`
	Password *SecretValue `json:"password"`
	Identity *string      `json:"identity"`
}

// SecretValue is a secret given openly or as a reference to a vault. An Opaque value
// is taken in and never given out.
type SecretValue struct {
	Type  string  `json:"type"` // Opaque, Vaultsecret
	Value *string `json:"value,omitempty"`
}

// System is how the wire names the task's system-assigned identity in a credential;
// clients write it in brackets as well.
const System = "[system]"

// IsSystem reports whether a credential's identity means the system-assigned one.
func IsSystem(identity string) bool {
	return strings.EqualFold(strings.Trim(identity, "[]"), "system")
}

var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{5,50}$`)
	guidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	timerName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)
	hostPattern = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?$`)
)

// Limits of a run's time, in seconds.
const (
	DefaultTimeout = 3600
	MinTimeout     = 300
	maxTimeout     = 28800
)

// maxTaskFile bounds an encoded task file, in bytes.
const maxTaskFile = 1 << 20

func invalid(member, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, "InvalidParameterValue", format, args...).On("properties." + member)
}

func unsupported(member, what string) *problem.Error {
	return problem.New(problem.Unsupported, "NotImplemented", "%s is not available in this version of Acrux.", what).On("properties." + member)
}

// Check fills in defaults and refuses what is wrong or cannot be done, for quick runs,
// which have the members of a task and no name.
func Check(p *Properties) error { return p.normalise() }

// normalise fills in defaults and refuses what is wrong or cannot be done.
func (p *Properties) normalise() error {
	if p.Status == "" {
		p.Status = "Enabled"
	}
	if p.Status != "Enabled" && p.Status != "Disabled" {
		return invalid("status", "The status '%s' is neither Enabled nor Disabled.", p.Status)
	}
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	if err := CheckTimeout(p.Timeout); err != nil {
		return err
	}
	if p.AgentConfiguration == nil || p.AgentConfiguration.CPU == 0 {
		p.AgentConfiguration = &AgentConfiguration{CPU: 2}
	}
	if p.AgentConfiguration.CPU < 0 {
		return invalid("agentConfiguration.cpu", "A run cannot have %d CPUs.", p.AgentConfiguration.CPU)
	}
	if p.LogTemplate != nil && *p.LogTemplate != "" {
		return unsupported("logTemplate", "A log template, which would push the log of a run as an image,")
	}
	p.ProvisioningState = "Succeeded"
	for _, check := range []func() error{p.checkPlatform, p.checkStep, p.checkTrigger, p.checkCredentials} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// CheckTimeout returns a problem unless seconds may bound a run.
func CheckTimeout(seconds int) error {
	if seconds < MinTimeout || seconds > maxTimeout {
		return invalid("timeout", "The timeout of %d seconds is not between %d and %d.", seconds, MinTimeout, maxTimeout)
	}
	return nil
}

func (p *Properties) checkPlatform() error {
	if p.Platform == nil {
		p.Platform = &Platform{OS: "linux", Architecture: "amd64"}
	}
	return NormalisePlatform(p.Platform)
}

func (p *Properties) checkStep() error {
	s := p.Step
	if s == nil {
		return invalid("step", "A task needs a step.")
	}
	if s.ContextPath == "" {
		s.ContextAccessToken = nil // it is for nothing
	}
	if err := s.checkForeign(); err != nil {
		return err
	}
	switch s.Type {
	case "EncodedTask":
		return s.checkEncoded()
	case "FileTask":
		if s.TaskFilePath == "" || s.ContextPath == "" {
			return invalid("step", "A step of type FileTask needs contextPath and taskFilePath.")
		}
	case "Docker":
		if s.ContextPath == "" {
			return invalid("step.contextPath", "A step of type Docker needs a contextPath.")
		}
		return s.checkImages()
	case "":
		return invalid("step.type", "The step has no type: EncodedTask, FileTask or Docker.")
	default:
		return invalid("step.type", "The step type '%s' is not one of EncodedTask, FileTask, Docker.", s.Type)
	}
	return nil
}

// remoteContext is what a source location must look like: a URL, or a git address.
var remoteContext = regexp.MustCompile(`(?i)^(https?://|git://|git@|github\.com/|oci://)`)

// noContext is how clients write that there is no context.
const noContext = "/dev/null"

// IsFetched reports whether a source location is one that agents fetch by themselves, or none.
func IsFetched(path string) bool {
	return path == "" || strings.EqualFold(path, noContext) || remoteContext.MatchString(path)
}

// checkContext refuses a source that no run could fetch, such as a folder of the client's.
func (s *Step) checkContext() error {
	path := s.ContextPath
	if _, uploaded := upload.Registry(path); uploaded || IsFetched(path) {
		return nil
	}
	return problem.New(problem.Invalid, "InvalidSourceLocation", "The source location '%s' is neither a URL nor an upload. "+
		"A task needs the URL of a git repository or of an archive; a folder is built, or run, once.", path).
		On("properties.step.contextPath").Hint("az acr build --registry REGISTRY --image NAME:TAG FOLDER").
		Hint("az acr run --registry REGISTRY --file FILE FOLDER")
}

// checkImages refuses names under which no build can push. Which registries they may begin with
// is known when a run is asked for: credentials come after the task.
func (s *Step) checkImages() error {
	for _, name := range s.ImageNames {
		if err := oci.CheckBuildName(name); err != nil {
			return invalid("step.imageNames", "%v.", err)
		}
	}
	return nil
}

// checkForeign refuses what a step of another type has: it would do nothing.
func (s *Step) checkForeign() error {
	for _, m := range []struct {
		name  string
		given bool
		of    []string // the types that have it
	}{
		{"encodedTaskContent", s.EncodedTaskContent != "", []string{"EncodedTask"}},
		{"encodedValuesContent", s.EncodedValues != "", []string{"EncodedTask"}},
		{"taskFilePath", s.TaskFilePath != "", []string{"FileTask"}},
		{"valuesFilePath", s.ValuesFilePath != "", []string{"FileTask"}},
		{"values", len(s.Values) > 0, []string{"EncodedTask", "FileTask"}},
		{"dockerFilePath", s.DockerFilePath != "", []string{"Docker"}},
		{"imageNames", len(s.ImageNames) > 0, []string{"Docker"}},
		{"isPushEnabled", s.IsPushEnabled != nil, []string{"Docker"}},
		{"noCache", s.NoCache, []string{"Docker"}},
		{"target", s.Target != "", []string{"Docker"}},
		{"arguments", len(s.Arguments) > 0, []string{"Docker"}},
	} {
		if m.given && s.Type != "" && !slices.Contains(m.of, s.Type) {
			return invalid("step."+m.name, "A step of type %s has no %s.", s.Type, m.name)
		}
	}
	return nil
}

func (s *Step) checkEncoded() error {
	content, err := base64.StdEncoding.DecodeString(s.EncodedTaskContent)
	switch {
	case err != nil:
		return invalid("step.encodedTaskContent", "The task file is not valid base64: %v.", err)
	case len(content) == 0:
		return invalid("step.encodedTaskContent", "The task file is empty.")
	case len(content) > maxTaskFile:
		return invalid("step.encodedTaskContent", "The task file has %d bytes; at most %d are taken.", len(content), maxTaskFile)
	}
	if _, err := base64.StdEncoding.DecodeString(s.EncodedValues); err != nil {
		return invalid("step.encodedValuesContent", "The values file is not valid base64: %v.", err)
	}
	return nil
}

func (p *Properties) checkCredentials() error {
	if p.Credentials == nil {
		return nil
	}
	if sr := p.Credentials.SourceRegistry; sr != nil {
		if sr.LoginMode != "" && !strings.EqualFold(sr.LoginMode, "Default") && !strings.EqualFold(sr.LoginMode, "None") {
			return invalid("credentials.sourceRegistry.loginMode", "The login mode '%s' is neither Default nor None.", sr.LoginMode)
		}
		if sr.Identity != nil && *sr.Identity != "" {
			return unsupported("credentials.sourceRegistry.identity", "An identity for the run's own registry")
		}
	}
	for host, c := range p.Credentials.Custom {
		if err := checkCredential(host, c); err != nil {
			return err
		}
	}
	return nil
}

func checkCredential(host string, c *CustomCredential) error {
	member := "credentials.customRegistries." + host
	if !hostPattern.MatchString(host) {
		return invalid(member, "'%s' is not the login server of a registry.", host)
	}
	if c == nil {
		return invalid(member, "The credential for '%s' is empty.", host)
	}
	for _, v := range []*SecretValue{c.UserName, c.Password} {
		if v != nil && strings.EqualFold(v.Type, "Vaultsecret") {
			return unsupported(member, "A credential from a key vault")
		}
	}
	opaque := c.UserName != nil && c.Password != nil
	identity := c.Identity != nil && *c.Identity != ""
	switch {
	case identity && (c.UserName != nil || c.Password != nil):
		return invalid(member, "The credential for '%s' has both an identity and a user name or password.", host)
	case identity && !IsSystem(*c.Identity) && !guidPattern.MatchString(*c.Identity):
		return invalid(member, "'%s' is neither the client ID of an identity nor %s.", *c.Identity, System).
			Hint("az identity show --resource-group GROUP --name NAME --query clientId --output tsv")
	case !identity && !opaque:
		return invalid(member, "The credential for '%s' needs an identity, or a user name and a password.", host)
	}
	return nil
}

// LoginServers returns the registries that have credentials, sorted.
func (p *Properties) LoginServers() []string {
	if p.Credentials == nil {
		return nil
	}
	return sortedKeys(p.Credentials.Custom)
}

// contextToken names the sealed credential for a step's context.
const contextToken = "contextAccessToken"

// secretName names the sealed secrets of a task.
func secretName(parts ...string) string { return strings.Join(parts, "/") }

// extractSecrets takes the secret texts out of the properties, by name. A member
// that is marked secret and has no text keeps the text it had before.
func (p *Properties) extractSecrets() (found map[string]secret.String, kept map[string]bool) {
	found, kept = map[string]secret.String{}, map[string]bool{}
	p.eachSecret(func(name string, text **string) {
		if *text == nil {
			kept[name] = true
			return
		}
		found[name] = secret.New(**text)
		*text = nil
	})
	for _, t := range p.sources() {
		kept[HookSecret(t.Name)] = true
	}
	return found, kept
}

// restoreSecrets puts secret texts back where extractSecrets took them.
func (p *Properties) restoreSecrets(secrets map[string]secret.String) {
	p.eachSecret(func(name string, text **string) {
		if s, ok := secrets[name]; ok {
			revealed := s.Reveal()
			*text = &revealed
		}
	})
}

// eachSecret calls fn for the place of every secret text.
func (p *Properties) eachSecret(fn func(name string, text **string)) {
	if s := p.Step; s != nil {
		s.eachSecret(fn)
	}
	p.eachSourceToken(fn)
	if p.Credentials == nil {
		return
	}
	for host, c := range p.Credentials.Custom {
		if c == nil {
			continue
		}
		if c.UserName != nil {
			fn(secretName("credential", host, "userName"), &c.UserName.Value)
		}
		if c.Password != nil {
			fn(secretName("credential", host, "password"), &c.Password.Value)
		}
	}
}

func (s *Step) eachSecret(fn func(name string, text **string)) {
	fn(contextToken, &s.ContextAccessToken)
	for kind, list := range map[string][]Value{"value": s.Values, "argument": s.Arguments} {
		for i := range list {
			if list[i].IsSecret {
				fn(secretName(kind, list[i].Name), &list[i].Value)
			}
		}
	}
}

package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"go.yaml.in/yaml/v3"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/docker"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

// Config is everything that can be set. The zero value, with Data filled in, works.
// It is read from acrux.yaml in the data directory or a file named by --config; the
// environment (ACRUX_DOMAIN, …) and flags come on top.
type Config struct {
	// Data is the directory that holds everything.
	Data string `yaml:"-"`
	// Database is the URL of a PostgreSQL database, postgres://USER:PASSWORD@HOST/DATABASE.
	// Default none: SQLite in the data directory.
	Database secret.String `yaml:"database"`
	// Listen is the address of the one listener. Default 127.0.0.1:8443.
	Listen string `yaml:"listen"`
	// ListenPlain is the address of a second listener, without TLS, for a proxy that
	// ends TLS in front of it. Default none.
	ListenPlain string `yaml:"listenPlain"`
	// TrustedProxies are networks, or addresses, of proxies in front whose word counts about
	// where a request comes from. Default none.
	TrustedProxies []string `yaml:"trustedProxies"`
	// Domain is what all host names end in. Default acrux.localhost.
	Domain string `yaml:"domain"`
	// DNS is the address of a name server for the domain, over UDP and TCP. Default none.
	DNS string `yaml:"dns"`
	// Location is where resources are said to be. Default eastus.
	Location string `yaml:"location"`
	// LoginServerAliases are names under which registries of this server are known inside
	// tasks and imports, besides their own, and the resource IDs of those registries:
	// {contoso.azurecr.io: /subscriptions/…/registries/contoso}. Default none.
	LoginServerAliases AliasConfig `yaml:"loginServerAliases"`
	// AzureRegistrySuffixes are what the login servers of Azure's registries end in. Tokens of
	// managed identities go to those, and to registries of this server. Default azurecr.io,
	// azurecr.cn and azurecr.us.
	AzureRegistrySuffixes []string `yaml:"azureRegistrySuffixes"`
	// RegistryMirrors say where the images of a registry are really fetched, and nowhere
	// else: {docker.io: http://127.0.0.1:5000}. Default none.
	RegistryMirrors map[string]string `yaml:"registryMirrors"`
	// Blobs is where the content of registries is kept.
	Blobs BlobsConfig `yaml:"blobs"`
	// Egress says where imports and tasks may connect to.
	Egress EgressConfig `yaml:"egress"`
	// Limits bound what clients may hold.
	Limits LimitsConfig `yaml:"limits"`
	// RateLimits are the requests a minute that ACR allows a registry of a SKU: basic,
	// standard or premium. Default none.
	RateLimits string `yaml:"rateLimits"`
	// Disk is what is kept free.
	Disk DiskConfig `yaml:"disk"`
	// Runs is how long runs are kept.
	Runs RunsConfig `yaml:"runs"`
	// Triggers is how tasks start by themselves.
	Triggers TriggersConfig `yaml:"triggers"`
	// Agent is the agent inside the server.
	Agent AgentConfig `yaml:"agent"`
	// LogLevel is debug, info, warn or error. Default info.
	LogLevel string `yaml:"logLevel"`
	// ChangeDomain lets a data directory have another domain than it was made with.
	ChangeDomain bool `yaml:"-"`
	// Executor replaces the agent's engine; the owner closes it. Only code can set it.
	Executor engine.Executor `yaml:"-"`
}

// BlobsConfig is where the content of registries is kept.
type BlobsConfig struct {
	// URL is an S3 store, s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION, whose keys
	// come from the environment. Default is the data directory.
	URL string `yaml:"url"`
	// Redirect sends clients to that store for blobs, with a URL that lives for minutes.
	// Default false.
	Redirect bool `yaml:"redirect"`
}

// LimitsConfig bounds what clients may hold.
type LimitsConfig struct {
	// Connections is how many there are at once on each listener. Default 10000.
	Connections int `yaml:"connections"`
	// PerAddress is how many of them one address may have. Default a tenth, but not less
	// than 100.
	PerAddress int `yaml:"perAddress"`
	// LeastRate is how many bytes a second move at least while a client is waited for, looked
	// at every 30 seconds of waiting. Default 1000.
	LeastRate int `yaml:"leastRate"`
	// AnonymousBody is how long the body of a request may take whose sender has not signed
	// in. Default 30s.
	AnonymousBody time.Duration `yaml:"anonymousBody"`
	// Stall is how long nothing may move on a connection while a body is sent or received:
	// 30s, 5m. Default 2m.
	Stall time.Duration `yaml:"stall"`
}

// EgressConfig says where imports and tasks may connect to.
type EgressConfig struct {
	// Loopback lets what callers name (imports, contexts, task files) be on this machine:
	// on loopback, or at an address of its interfaces. What content names (Dockerfiles,
	// steps, files out of a context) may not be there in any case. Default false.
	Loopback bool `yaml:"loopback"`
	// Allow are networks that may be connected to, by content as well, even though they
	// are refused otherwise. Default none.
	Allow []string `yaml:"allow"`
	// Deny are networks that may not. Default none.
	Deny []string `yaml:"deny"`
}

// DiskConfig says what is kept free of the disk that the data directory is on.
type DiskConfig struct {
	// Reserve is bytes, with units as docker has them: when no more are free, new runs,
	// uploads and pushes are refused, and when half of them are, the run that takes most is
	// ended. 0 keeps nothing. Default 1g.
	Reserve string `yaml:"reserve"`

	reserve int64
}

func (c *DiskConfig) complete() (err error) {
	if c.Reserve == "" {
		c.Reserve = "1g"
	}
	if c.reserve, err = units.RAMInBytes(c.Reserve); err != nil || c.reserve < 0 {
		return fmt.Errorf("disk.reserve is %q; it is bytes, such as 512m or 4g, or 0", c.Reserve)
	}
	return nil
}

// RunsConfig says how long runs are kept.
type RunsConfig struct {
	// Keep is how long runs and their logs are kept after their end, but for archived ones, which
	// stay. Default 720h, which is 30 days.
	Keep time.Duration `yaml:"keep"`
}

// TriggersConfig is how tasks start by themselves.
type TriggersConfig struct {
	// BaseImagePoll is how long it is until a registry elsewhere is asked again whether a base
	// image has moved: 30m, a random time such as 10m-1h, or off. Default 10m-1h.
	BaseImagePoll string `yaml:"baseImagePoll"`

	every trigger.Interval
}

func (c *TriggersConfig) complete() (err error) {
	c.every = trigger.DefaultInterval
	if c.BaseImagePoll == "" {
		return nil
	}
	if c.every, err = trigger.ParseInterval(c.BaseImagePoll); err != nil {
		return fmt.Errorf("triggers.baseImagePoll: %w", err)
	}
	return nil
}

// AgentConfig is the agent inside the server.
type AgentConfig struct {
	// Off leaves runs queued for agents elsewhere. Default false.
	Off bool `yaml:"off"`
	// Slots is how many runs are executed at once. Default 2.
	Slots int `yaml:"slots"`
	// StepNetwork is whether steps may reach the network outside: "nat" or "none".
	// Default nat.
	StepNetwork string `yaml:"stepNetwork"`
	// StepTrust is whether programs in steps and RUN instructions trust the certificates of
	// this server: "on", or "off". Default on.
	StepTrust string `yaml:"stepTrust"`
	// Privileged is in which registries' runs steps may ask for privileged containers,
	// which control the machine and with it this server. Default none.
	Privileged PrivilegedConfig `yaml:"privileged"`
	// Executor is what runs containers and builds: "embedded", in this process, or
	// "docker", a Docker Engine of this machine. Default embedded.
	Executor string `yaml:"executor"`
	// UserNamespaces is whether containers have user IDs of their own: "auto", where the
	// machine can give them, or "off". Default auto.
	UserNamespaces string `yaml:"userNamespaces"`
	// RunLimits bound what all containers of a run have together.
	RunLimits RunLimitsConfig `yaml:"runLimits"`
	// DockerClient is a docker client on this machine, which steps get as the image docker:
	// its path, or none. Default the one in PATH, if there is one.
	DockerClient string `yaml:"dockerClient"`
	// DockerHost is that engine's socket. Default unix:///var/run/docker.sock.
	DockerHost string `yaml:"dockerHost"`
}

// RunLimitsConfig bounds what all containers of a run have together, and likewise all RUN
// instructions of a task's builds. Steps may ask for less.
type RunLimitsConfig struct {
	// CPUs is how many processors. Default all.
	CPUs float64 `yaml:"cpus"`
	// Memory is bytes, with units as docker has them: 4g. Default seven eighths of the
	// machine's.
	Memory string `yaml:"memory"`
	// Processes is how many, with threads. Default 16384.
	Processes int64 `yaml:"processes"`

	memory int64 // bytes of Memory
}

// complete reads Memory.
func (c *RunLimitsConfig) complete() (err error) {
	if c.CPUs < 0 || c.Processes < 0 {
		return errors.New("agent.runLimits.cpus and agent.runLimits.processes are not negative")
	}
	if c.Memory == "" {
		return nil
	}
	if c.memory, err = units.RAMInBytes(c.Memory); err != nil || c.memory <= 0 {
		return fmt.Errorf("agent.runLimits.memory is %q; it is bytes, such as 512m or 4g", c.Memory)
	}
	return nil
}

// DefaultDomain and DefaultListen are what Config fills in.
const (
	DefaultDomain = "acrux.localhost"
	DefaultListen = "127.0.0.1:8443"
)

// LoadConfig reads the file, which may be missing if it was not named, and the
// environment.
func LoadConfig(data, file string, getenv func(string) string) (Config, error) {
	named := file != ""
	if !named {
		file = filepath.Join(data, "acrux.yaml")
	}
	c := Config{}
	f, err := os.Open(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
	case err != nil:
		return c, fmt.Errorf("the configuration: %w", err)
	default:
		defer f.Close()
		decoder := yaml.NewDecoder(f)
		decoder.KnownFields(true)
		if err := decoder.Decode(&c); err != nil && !errors.Is(err, io.EOF) { // an empty file says nothing
			return c, explainConfig(file, err)
		}
	}
	c.Data = data
	c.fromEnvironment(getenv)
	return c, nil
}

func (c *Config) fromEnvironment(getenv func(string) string) {
	for name, field := range map[string]*string{"ACRUX_LISTEN": &c.Listen, "ACRUX_LISTEN_PLAIN": &c.ListenPlain, "ACRUX_DOMAIN": &c.Domain, "ACRUX_DNS": &c.DNS, "ACRUX_LOCATION": &c.Location,
		"ACRUX_LOG_LEVEL": &c.LogLevel, "ACRUX_STEP_NETWORK": &c.Agent.StepNetwork, "ACRUX_BLOBS_URL": &c.Blobs.URL} {
		if value := getenv(name); value != "" {
			*field = value
		}
	}
	if value := getenv("ACRUX_DATABASE"); value != "" {
		c.Database = secret.New(value)
	}
	if value := getenv("ACRUX_LOGIN_SERVER_ALIASES"); value != "" {
		c.LoginServerAliases = parseAliases(value)
	}
}

var domainPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// Complete fills in defaults and checks everything.
func (c *Config) Complete() error {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	if before, err := ReadPublished(c.Data); err == nil { // what the first start was told counts for the next
		fill(&c.Domain, before.Domain)
		fill(&c.Listen, before.Listen)
	}
	fill(&c.Listen, DefaultListen)
	fill(&c.Domain, DefaultDomain)
	fill(&c.Location, "eastus")
	fill(&c.LogLevel, "info")
	fill(&c.Agent.StepNetwork, "nat")
	fill(&c.Agent.StepTrust, "on")
	fill(&c.Agent.Executor, "embedded")
	fill(&c.Agent.UserNamespaces, "auto")
	fill(&c.Agent.DockerHost, docker.DefaultHost)
	if c.Agent.Slots == 0 {
		c.Agent.Slots = 2
	}
	c.Limits.complete()
	if c.AzureRegistrySuffixes == nil {
		c.AzureRegistrySuffixes = registryclient.AzureSuffixes
	}
	c.Domain = strings.ToLower(c.Domain)
	if c.Runs.Keep == 0 {
		c.Runs.Keep = 30 * 24 * time.Hour
	}
	for _, complete := range []func() error{c.Agent.RunLimits.complete, c.Disk.complete, c.Triggers.complete} {
		if err := complete(); err != nil {
			return err
		}
	}
	switch {
	case c.Data == "":
		return errors.New("the data directory is not set")
	case !c.Database.Empty() && !sqlstore.IsURL(c.Database.Reveal()): // it may have a password
		return errors.New("database is not a URL that begins with postgres://")
	case !domainPattern.MatchString(c.Domain):
		return fmt.Errorf("the domain %q is not a host name", c.Domain)
	case !slices.Contains([]string{"", "basic", "standard", "premium"}, c.RateLimits):
		return fmt.Errorf("rateLimits is %q; it is basic, standard or premium", c.RateLimits)
	case c.Runs.Keep < 0:
		return fmt.Errorf("runs.keep is %s", c.Runs.Keep)
	case c.Agent.Slots < 0:
		return fmt.Errorf("agent.slots is %d", c.Agent.Slots)
	case c.Blobs.Redirect && c.Blobs.URL == "":
		return errors.New("blobs.redirect takes a blobs.url: content in the data directory is served by the server itself")
	case !slices.Contains([]string{"nat", "none"}, c.Agent.StepNetwork):
		return fmt.Errorf("agent.stepNetwork is %q; it is nat or none", c.Agent.StepNetwork)
	case !slices.Contains([]string{"on", "off"}, c.Agent.StepTrust):
		return fmt.Errorf("agent.stepTrust is %q; it is on or off", c.Agent.StepTrust)
	case !slices.Contains([]string{"embedded", "docker"}, c.Agent.Executor):
		return fmt.Errorf("agent.executor is %q; it is embedded or docker", c.Agent.Executor)
	case !slices.Contains([]string{"auto", "off"}, c.Agent.UserNamespaces):
		return fmt.Errorf("agent.userNamespaces is %q; it is auto or off", c.Agent.UserNamespaces)
	case !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel):
		return fmt.Errorf("logLevel is %q; it is debug, info, warn or error", c.LogLevel)
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	if _, err := c.proxies(); err != nil {
		return err
	}
	if _, err := c.Egress.policy(); err != nil {
		return err
	}
	for _, suffix := range c.AzureRegistrySuffixes {
		if !domainPattern.MatchString(suffix) || !strings.Contains(suffix, ".") {
			return fmt.Errorf("azureRegistrySuffixes: %q is not a domain such as azurecr.io", suffix)
		}
	}
	if err := c.Agent.Privileged.check(); err != nil {
		return err
	}
	var err error
	c.LoginServerAliases, err = c.LoginServerAliases.complete(c.Domain)
	return err
}

// where is what sqlstore opens.
func (c *Config) where() string {
	if c.Database.Empty() {
		return c.Data
	}
	return c.Database.Reveal()
}

// within reports whether a host name is a domain or below it.
func within(name, domain string) bool { return name == domain || strings.HasSuffix(name, "."+domain) }

// ParseMirrors reads the URLs of the mirrors of registry hosts.
func ParseMirrors(texts map[string]string) (map[string]url.URL, error) {
	all := map[string]url.URL{}
	for host, text := range texts {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("the mirror %q of %s is not an http or https URL", text, host)
		}
		all[egress.CanonicalHost(host)] = *u
	}
	return all, nil
}

// policy is what callers may connect to. What content may is the same without loopback.
func (c EgressConfig) policy() (p egress.Policy, err error) {
	if p.Allow, err = prefixes("egress.allow", c.Allow); err != nil {
		return p, err
	}
	p.Deny, err = prefixes("egress.deny", c.Deny)
	p.Loopback = c.Loopback
	return p, err
}

func prefixes(key string, texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() { // such a network has no address in it
			return nil, fmt.Errorf("%s: %q is not a network such as 10.0.0.0/8", key, text)
		}
		all = append(all, p)
	}
	return all, nil
}

// loopback reports whether the server listens on loopback only.
func loopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

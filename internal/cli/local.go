package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/agent/local"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// localRun are the flags of acrux run.
type localRun struct {
	file, values, registry, root, network string
	task, dockerHost, dockerClient        string
	set, setSecret, mirrors               []string
	timeout                               time.Duration
	privileged                            bool
}

func newRunCommand(env *environment) *cobra.Command {
	var r localRun
	cmd := &cobra.Command{Use: "run [CONTEXT|FILE]", Args: cobra.MaximumNArgs(1), Short: "Execute a task file on this machine, without a server",
		Long: "Execute a task file on this machine, as a server's agent would. CONTEXT is a folder, or the URL\nof a git repository or an archive; with --file alone there is none, and without both it is the\ncurrent folder. Steps are containers: that takes\nLinux, and root or newuidmap and subordinate IDs, or a Docker Engine, see --docker-host.\nWith --registry a run may pull from and push to a registry of the server where you are signed\nin, with your rights; with --as-task as well it has the identities and the credentials of a\ntask of that registry, if you may change that task."}
	f := cmd.Flags()
	f.StringVarP(&r.file, "file", "f", "", "task file, in the folder or else from here; - is the standard input (default acb.yaml)")
	f.StringArrayVar(&r.set, "set", nil, "NAME=VALUE for the task file")
	f.StringArrayVar(&r.setSecret, "set-secret", nil, "the same, masked in the log")
	f.StringVar(&r.values, "values", "", "file with values")
	f.StringVarP(&r.registry, "registry", "r", "", "registry of the server: what $Registry means")
	f.StringVar(&r.task, "as-task", "", "task of the registry whose identities and credentials the run has")
	f.StringVar(&r.root, "root", "", "directory for images and caches (default acrux in the user's cache)")
	f.StringVar(&r.network, "step-network", "nat", "nat: steps reach the machine's networks; none: only each other")
	f.StringArrayVar(&r.mirrors, "registry-mirror", nil, "HOST=URL where the images of a registry are fetched instead, such as docker.io=http://mirror:5000")
	f.StringVar(&r.dockerHost, "docker-host", "", "socket of a Docker Engine of this machine to run on, such as unix:///var/run/docker.sock")
	f.StringVar(&r.dockerClient, "docker-client", "", "docker client that steps get as the image docker, or none (default docker in PATH)")
	f.DurationVar(&r.timeout, "timeout", time.Hour, "how long it may take")
	f.BoolVar(&r.privileged, "privileged", false, "let steps that ask for it control this machine")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		source := r.source(args)
		if err := r.check(); err != nil {
			return err
		}
		if os.Geteuid() != 0 && r.dockerHost == "" {
			return insideUserNamespace(env) // which passes signals on
		}
		return env.interruptible(cmd.Context(), "Canceling; once more ends it at once ...", func(ctx context.Context) error {
			cmd.SetContext(ctx)
			return r.run(cmd, env, source)
		})
	}
	return cmd
}

// source is the folder, or the URL, that the arguments name; the task file is known then. No
// argument stands for the current folder if the task file is not named either.
func (r *localRun) source(args []string) (folder string) {
	switch {
	case len(args) == 1 && isRemote(args[0]):
		return args[0]
	case len(args) == 1:
		folder = args[0]
	case r.file == "":
		folder = "."
	default:
		return ""
	}
	r.file, folder = taskFileOf(folder, r.file)
	return folder
}

// errRunFailed is the end of a run whose log says why.
var errRunFailed = errors.New("the run failed")

func (r *localRun) check() error {
	if r.network != "nat" && r.network != "none" {
		return invalidArgument("--step-network %s is neither nat nor none", r.network)
	}
	if r.task != "" && r.registry == "" {
		return invalidArgument("--as-task goes with --registry")
	}
	return nil
}

func (r *localRun) run(cmd *cobra.Command, env *environment, source string) error {
	ctx := cmd.Context()
	job, err := r.job(env, source)
	if err != nil {
		return err
	}
	told := taskfile.Input{Name: r.file, File: job.Step.Task, ValuesFile: job.Step.ValuesFile,
		Values: taskValues(job.Step.Values)}
	if err := (&call{environment: env}).lintInput(ctx, told, false); err != nil {
		return err
	}
	if err := r.checkRegistry(cmd, told, source); err != nil {
		return err
	}
	o := local.Options{Root: r.root, StepNetwork: r.network == "nat", Privileged: r.privileged, DockerHost: r.dockerHost, DockerClient: r.dockerClient,
		Logger: slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if o.Root == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("give --root: %w", err)
		}
		o.Root = filepath.Join(cache, "acrux")
	}
	// The machine is its user's, and so is a folder on it. A repository is somebody else's:
	// what its Dockerfiles name is not to be found here.
	own := egress.Policy{Loopback: true}
	o.Dialer = &egress.Dialer{Policy: own, MirrorFlag: "--registry-mirror"}
	if o.Dialer.Mirrors, err = r.mirrorsByHost(); err != nil {
		return err
	}
	if !isRemote(source) {
		o.Dialer.Content = own
	}
	if r.registry != "" {
		if err := r.signIn(cmd, env, &job, &o); err != nil {
			return err
		}
	}
	out := env.stdout
	if source != "" && !isRemote(source) {
		needed := neededFiles(ctx, source, job.Step.Task, job.Step.ValuesFile, taskValues(job.Step.Values))
		var forget func()
		bar := env.newProgress()
		out = bar.beside(out)
		if ctx, forget, err = offer(ctx, env, bar, &job, source, needed); err != nil {
			return err
		}
		defer forget()
	}
	result, err := o.Run(ctx, job, out)
	if result.Layers.Total > 0 {
		fmt.Fprintf(env.stderr, "%d of %d layers came from the cache\n", result.Layers.Cached, result.Layers.Total)
	}
	var reason unpacked
	switch {
	case errors.As(context.Cause(ctx), &reason):
		return reason.error
	case err != nil:
		return err
	case result.Status == lease.Error:
		return fmt.Errorf("%w: %s", errRunFailed, result.Message)
	case result.Status != lease.Succeeded:
		return errRunFailed
	}
	return nil
}

// mirrorsByHost are the mirrors that the flags name.
func (r *localRun) mirrorsByHost() (map[string]url.URL, error) {
	texts := map[string]string{}
	for _, text := range r.mirrors {
		host, mirror, ok := strings.Cut(text, "=")
		if !ok || host == "" {
			return nil, invalidArgument("--registry-mirror %s is not HOST=URL", text)
		}
		texts[host] = mirror
	}
	mirrors, err := daemon.ParseMirrors(texts)
	if err != nil {
		return nil, invalidArgument("--registry-mirror: %v", err)
	}
	return mirrors, nil
}

// placed is where a file that was named beside a source is: in that folder, as for az acr run,
// or else where the name leads from here.
func placed(source, name string) string {
	if name == "" || name == "-" || source == "" || isRemote(source) || filepath.IsAbs(name) {
		return name
	}
	inside := filepath.Join(source, name)
	if _, err := os.Stat(inside); err != nil {
		return name
	}
	return inside
}

// job is the run, without what the server gives.
func (r *localRun) job(env *environment, source string) (lease.Job, error) {
	job := lease.Job{RunID: "local", TriggeredBy: "Manual", CreatedAt: time.Now(), Timeout: r.timeout, Step: lease.Step{Kind: lease.EncodedTask, Context: source}}
	if r.file == "" {
		return job, invalidArgument("give the task file: --file FILE")
	}
	var err error
	if job.Step.Task, err = env.readFile(r.file); err != nil {
		return job, err
	}
	if r.values != "" {
		if job.Step.ValuesFile, err = env.readFile(placed(source, r.values)); err != nil {
			return job, err
		}
	}
	for _, given := range []struct {
		pairs  []string
		secret bool
	}{{r.set, false}, {r.setSecret, true}} {
		for _, pair := range given.pairs {
			name, value, ok := strings.Cut(pair, "=")
			if !ok || name == "" {
				return job, invalidArgument("--set %s is not NAME=VALUE", name)
			}
			job.Step.Values = append(job.Step.Values, lease.Value{Name: name, Value: value, Secret: given.secret})
		}
	}
	return job, nil
}

// unpacked is the cause of the end of a run whose folder could not be packed.
type unpacked struct{ error }

// offer has a folder packed and served to the run, which ends, by the context that is returned,
// if that fails. It has no way to go for which compressing it would be of use.
func offer(ctx context.Context, env *environment, bar *progressLine, job *lease.Job, folder string, needed []string) (_ context.Context, forget func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	progress := func(bytes int64) { bar.show("Packing", units.BytesSize(float64(bytes))) }
	pack := func(ctx context.Context, w io.Writer) error {
		defer bar.clear()
		packed, err := client.Pack(ctx, w, folder, client.PackOptions{Keep: needed, Progress: progress})
		if note := heavy(packed.Weight); note != "" {
			bar.clear()
			fmt.Fprintln(env.stderr, note)
		}
		return err
	}
	failed := func(err error) { cancel(unpacked{err}) }
	address, closing, err := local.Serve(local.Folder{Pack: pack, Failed: failed})
	if err != nil {
		return nil, nil, err
	}
	job.Step.Context = address
	return ctx, func() { _ = closing(); cancel(nil) }, nil
}

// signIn lets the run use a registry of the server with the rights of who is signed in.
func (r *localRun) signIn(cmd *cobra.Command, env *environment, job *lease.Job, o *local.Options) error {
	c, err := env.newClient()
	if err != nil {
		return err
	}
	server := c.LoginServer(strings.SplitN(r.registry, ".", 2)[0])
	token, err := c.RefreshToken(cmd.Context(), server)
	if err != nil {
		return err
	}
	job.LoginServer, job.RegistryName = server, strings.SplitN(server, ".", 2)[0]
	job.Logins = append(job.Logins, lease.Login{Registry: server, Username: secret.New(oci.RefreshUser), Password: secret.New(token), Own: true})
	if r.task != "" {
		if err := r.asTask(cmd.Context(), &call{environment: env, client: c, cmd: cmd}, job, o); err != nil {
			return err
		}
	}
	return reach(c.Profile, o)
}

// reach makes the hosts of the server known by name to what the run dials.
func reach(p client.Profile, o *local.Options) error {
	management, err := url.Parse(p.Management)
	if err != nil {
		return problem.New(problem.Invalid, "ProfileDamaged", "the address of the server, %s, is no URL", p.Management)
	}
	_, domain, _ := strings.Cut(management.Hostname(), ".")
	address := p.Address
	o.Dialer.Own = func(host string) (string, bool) {
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			name = host
		}
		return address, address != "" && strings.HasSuffix(strings.ToLower(name), "."+domain)
	}
	if port, err := strconv.ParseUint(management.Port(), 10, 16); err == nil {
		o.OwnPorts = []uint16{uint16(port)}
	}
	if p.CABundle == "" {
		return nil
	}
	text, err := os.ReadFile(p.CABundle)
	if err != nil {
		return err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(text)
	o.Dialer.RootCAs = roots
	return nil
}

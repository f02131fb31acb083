package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/agent"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/docker"
	"github.com/acrux/acrux/internal/engine/embedded"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// builtinAgent executes runs inside the server.
type builtinAgent struct{ server *Server }

// Run opens an engine and executes runs on it. Without what it needs there is no agent,
// and runs stay queued.
func (b *builtinAgent) Run(ctx context.Context) error {
	if own := b.server.config.Executor; own != nil {
		return b.execute(ctx, own)
	}
	executor := b.opened(ctx)
	if executor == nil {
		return nil
	}
	return errors.Join(b.execute(ctx, executor), executor.Close())
}

// opened opens the engine, and tries again, later and later, while that fails: what is
// missing may come, as a Docker Engine that starts after this server. It is nil once ctx has
// ended.
func (b *builtinAgent) opened(ctx context.Context) closingExecutor {
	var told string
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		executor, err := b.open(ctx)
		if err == nil {
			b.server.services.Runs.NoAgent("")
			if told != "" {
				b.server.log.Info("the built-in agent works now")
			}
			return executor
		}
		if ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			b.server.services.Runs.NoAgent(agentExcuse(err))
			b.server.log.Error("the built-in agent cannot work here; runs stay queued", "err", err, "hint", engineHint(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// agentExcuse is what people are told who wait for the built-in agent. What the machine says of
// itself stays in the log.
func agentExcuse(err error) string {
	text := "the agent of this server cannot work, and its log says why"
	var told *problem.Error
	if errors.As(err, &told) {
		text = "the agent of this server cannot work: " + strings.TrimSuffix(told.Message, ".")
	}
	return text + "; hint for who runs the server: " + engineHint(err)
}

// engineHint is what can be done for the engine to open.
func engineHint(err error) string {
	var told *problem.Error
	if errors.As(err, &told) {
		return strings.Join(told.Hints, "; ")
	}
	if runtime.GOOS == "linux" && os.Geteuid() == 0 {
		return "it is tried again within a minute"
	}
	return "run the server as root on Linux, or set agent.executor: docker"
}

// closingExecutor is an executor that this server opened.
type closingExecutor interface {
	engine.Executor
	io.Closer
}

// open opens the engine that the configuration names.
func (b *builtinAgent) open(ctx context.Context) (closingExecutor, error) {
	s, c := b.server, b.server.config.Agent
	dialer := s.dialer.ForContent()
	if c.Executor == "docker" {
		return docker.Open(ctx, docker.Options{Root: filepath.Join(s.config.Data, "docker"), Host: c.DockerHost,
			Dialer: dialer, Log: s.log, Egress: c.StepNetwork == "nat"})
	}
	return embedded.Open(ctx, embedded.Options{Root: filepath.Join(s.config.Data, "engine"), OwnTemporary: true, Dialer: dialer, Log: s.log,
		Trust:  s.stepTrust(),
		Egress: c.StepNetwork == "nat", OwnPorts: s.ownPorts(), DockerClient: c.DockerClient,
		MachineUsers: c.UserNamespaces == "off", DiskReserve: s.config.Disk.reserve,
		RunBounds: embedded.Bounds{CPUs: c.RunLimits.CPUs, Memory: c.RunLimits.memory, Processes: c.RunLimits.Processes}})
}

// stepTrust gives what programs in steps are to trust; nil is nothing.
func (s *Server) stepTrust() func() []byte {
	if s.config.Agent.StepTrust == "off" {
		return nil
	}
	return s.certs.trusted
}

// ownPorts are where steps find the installation's hosts: its own port, and that of
// aliases.
func (s *Server) ownPorts() []uint16 {
	port := uint16(s.listener.Addr().(*net.TCPAddr).Port)
	if port == httpsPort || len(s.config.LoginServerAliases) == 0 {
		return []uint16{port}
	}
	return []uint16{port, httpsPort}
}

const httpsPort = 443

func (b *builtinAgent) execute(ctx context.Context, executor engine.Executor) error {
	s := b.server
	return agent.New(agent.Options{Leaser: s.services.Runs, Executor: executor, Dialer: s.dialer, Root: filepath.Join(s.config.Data, "agent"),
		Agent: lease.Agent{Name: s.agentName(), OS: "linux", Arch: runtime.GOARCH}, Slots: s.config.Agent.Slots, Logger: s.log,
		Privileged: s.config.Agent.Privileged.allows(s.Published.SubscriptionID),
		PublicName: publicName(s.services.Registries), AzureSuffixes: s.config.AzureRegistrySuffixes}).Run(ctx)
}

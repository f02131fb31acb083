// Package daemon builds a server from its configuration and runs it. It is the one
// place where the whole object graph can be seen.
//
// Background duties are values with a Run(ctx) error; they start together and are
// stopped in reverse: first the agent, so that its runs can still be completed, then
// the listener, last the database.
package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/access/tenant"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/disk"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/registry/mirror"
	"github.com/acrux/acrux/internal/registry/repotoken"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/server/armapi"
	"github.com/acrux/acrux/internal/server/blobapi"
	"github.com/acrux/acrux/internal/server/edge"
	"github.com/acrux/acrux/internal/server/hooksapi"
	"github.com/acrux/acrux/internal/server/nameserver"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/tasks/pool"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/runlog"
	"github.com/acrux/acrux/internal/tasks/task"
	"github.com/acrux/acrux/internal/tasks/taskrun"
	"github.com/acrux/acrux/internal/tasks/trigger"
	"github.com/acrux/acrux/internal/tasks/upload"
)

// ErrShutdown is the cause with which everything ends when the server is stopped.
var ErrShutdown = errors.New("the server is shutting down")

// agentName names the agent inside the server. One process at a time has it, as one has
// the data directory, which is why a server that starts may end whatever runs it still
// holds. Several servers may have one PostgreSQL, each with a name of its own.
func (s *Server) agentName() string {
	if s.config.Database.Empty() {
		return "builtin"
	}
	return "builtin-" + s.Published.ServerID
}

// Server is a server that has been built and listens; Run serves.
type Server struct {
	Published Published

	config   Config
	log      *slog.Logger
	lock     io.Closer
	reserve  *disk.Reserve // nil is none
	db       *sqlstore.DB
	queue    *sqlstore.Queue
	listener net.Listener
	plain    net.Listener // nil unless it is configured
	dialer   *egress.Dialer
	services armapi.Services
	content  *registry.Content
	pulls    *registry.PullCounter
	purger   *collect.Purger
	uploads  *upload.Uploads
	triggers *trigger.Service
	router   *edge.Router
	certs    *certificates
	names    *nameserver.Server // nil unless it is configured
}

// Run builds a server, tells ready about it when it answers, and serves until ctx
// ends.
func Run(ctx context.Context, config Config, log *slog.Logger, ready func(Published)) error {
	s, err := New(ctx, config, log)
	if err != nil {
		return err
	}
	return s.Run(ctx, ready)
}

// New builds a server on the data directory and begins to listen. Who calls it calls
// Run.
func New(ctx context.Context, config Config, log *slog.Logger) (*Server, error) {
	if err := config.Complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.Data, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory: %w", err)
	}
	lock, err := lockDirectory(config.Data)
	if err != nil {
		return nil, err
	}
	if err := config.checkDomain(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s := &Server{config: config, log: newSparing(log), lock: lock}
	s.reserve = disk.New(config.Data, config.Disk.reserve, s.log)
	s.reserve.Spend() // starting writes a little
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *Server) build(ctx context.Context) error {
	data, now := s.config.Data, time.Now()
	var err error
	if s.db, err = sqlstore.Open(ctx, s.config.where()); errors.Is(err, syscall.ENOSPC) {
		return problem.New(problem.Full, "DiskFull", "The disk with the data directory %s is full: "+
			"the database cannot be opened.", data).Hint("df -h %s", data).Because(err)
	} else if err != nil {
		return err
	}
	s.db.Reserve = s.reserve
	sealer, err := openSealer(ctx, data, s.db)
	if err != nil {
		return err
	}
	if err := s.listen(ctx); err != nil {
		return err
	}
	if s.config.DNS != "" {
		if s.names, err = NameServer(s.config.DNS, s.Published, s.log); err != nil {
			return err
		}
	}
	aliases := s.config.LoginServerAliases.names()
	if s.certs, err = openCertificates(filepath.Join(data, "tls"), s.config.Domain, aliases, now); err != nil {
		return err
	}
	var issuer *token.Issuer
	err = s.db.InTx(ctx, func(ctx context.Context) (err error) { // of servers that start at once, one makes the key
		issuer, err = token.Open(ctx, s.db, sealer, s.Published.TenantID, s.Published.URL("login")+"/"+s.Published.TenantID+"/", now)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w; is %s the one this database was made with?", err, masterKey(data))
	}
	if err := s.wire(ctx, issuer, sealer, now); err != nil {
		return err
	}
	return writePublished(data, s.Published)
}

// NameServer returns a name server that listens and answers for the names of a server.
func NameServer(address string, pub Published, log *slog.Logger) (*nameserver.Server, error) {
	dialed, err := netip.ParseAddrPort(pub.Address)
	if err != nil {
		return nil, fmt.Errorf("the server's address: %w", err)
	}
	names := &nameserver.Server{Domain: pub.Domain, Addr: dialed.Addr().Unmap(), Log: log}
	if err := names.Listen(address); err != nil {
		return nil, err
	}
	return names, nil
}

func masterKey(data string) string { return filepath.Join(data, "keys", "master.key") }

// openSealer opens the sealer under the master key, which is made for a database that
// is new, and never for one that has things sealed under another.
func openSealer(ctx context.Context, data string, keys token.KeyStore) (*secret.Sealer, error) {
	sealed, err := keys.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(masterKey(data)); errors.Is(err, fs.ErrNotExist) && len(sealed) > 0 {
		return nil, fmt.Errorf("%s is missing, and the database has secrets that only it opens: put it back from a copy", masterKey(data))
	}
	sealer, err := secret.OpenSealer(masterKey(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", masterKey(data), err)
	}
	return sealer, nil
}

// listen opens the listener; the port may come from it, and all names have it.
func (s *Server) listen(ctx context.Context) (err error) {
	if s.listener, err = net.Listen("tcp", s.config.Listen); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if s.config.ListenPlain != "" {
		if s.plain, err = net.Listen("tcp", s.config.ListenPlain); err != nil {
			return fmt.Errorf("listening without TLS: %w", err)
		}
		if !loopback(s.plain.Addr()) {
			s.log.Warn("what passes this address is not encrypted, passwords and tokens included", "address", s.plain.Addr())
		}
	}
	address := s.listener.Addr().(*net.TCPAddr)
	_, port, _ := net.SplitHostPort(address.String())
	ip := address.IP.String()
	if address.IP.IsUnspecified() {
		ip = "127.0.0.1"
	}
	s.Published = Published{Address: net.JoinHostPort(ip, port), Domain: s.config.Domain, Port: port, CABundle: filepath.Join(s.config.Data, "tls", "ca.crt"),
		Listen: s.config.Listen}
	if s.Published.CABundle, err = filepath.Abs(s.Published.CABundle); err != nil {
		return err
	}
	s.Published.ServerID = uuid.NewString()
	if before, err := ReadPublished(s.config.Data); err == nil && before.ServerID != "" {
		s.Published.ServerID = before.ServerID
	}
	if s.Published.TenantID, err = s.db.Setting(ctx, "tenant", uuid.NewString); err != nil {
		return err
	}
	s.Published.SubscriptionID, err = s.db.Setting(ctx, "subscription", uuid.NewString)
	return err
}

// wire makes the services, and has them served.
func (s *Server) wire(ctx context.Context, issuer *token.Issuer, sealer *secret.Sealer, now time.Time) error {
	db, pub := s.db, s.Published
	documents := sqlstore.Documents{DB: db}
	secrets := sqlstore.Secrets{DB: db, Sealer: sealer}
	directory := &identity.Directory{Store: sqlstore.Principals{DB: db}, TenantID: pub.TenantID}
	checker := rbac.NewChecker(sqlstore.Assignments{DB: db}, directory, db.Generation)
	managed, federated := identity.NewManagedService(documents, directory), identity.NewFederated(documents, directory)
	loginServer := func(name string) string { return lower(name) + ".azurecr." + pub.Suffix() }
	registries := registry.NewRegistries(documents, managed, loginServer)
	registries.Aliases = s.config.LoginServerAliases.registries(pub.SubscriptionID)
	registries.Secrets = secrets
	scopeMaps, tokens := repotoken.New(documents, secrets, db.Generation)
	if err := s.openContent(ctx, registries); err != nil {
		return err
	}
	logs, err := runlog.Open(filepath.Join(s.config.Data, "runlogs"))
	if err != nil {
		return err
	}
	if s.uploads, err = upload.Open(filepath.Join(s.config.Data, "uploads")); err != nil {
		return err
	}
	if s.dialer, err = s.newDialer(registries); err != nil {
		return err
	}
	logs.Reserve, s.uploads.Reserve = s.reserve, s.reserve
	runs := &run.Service{Reserve: s.reserve, Store: sqlstore.Runs{DB: db}, Registries: registries, Directory: directory, Issuer: issuer, Sealer: sealer, Logs: logs, Uploads: s.uploads}
	tasks := task.NewService(documents, secrets, managed, runs)
	tasks.Uploads = s.uploads
	pools := pool.NewService(documents, runs)
	s.triggers = &trigger.Service{Log: s.log, Store: sqlstore.Triggers{DB: db}, Tasks: tasks, Runs: runs, Registries: registries,
		Content: s.content, Outbox: sqlstore.Registry{DB: db}, Pushed: db.Pushed, Elsewhere: s.elsewhere(), Every: s.config.Triggers.every}
	tasks.Planner = s.triggers
	runs.Tasks, runs.Pools, issuer.Active = tasks, pools, runs.Active
	if s.queue, err = sqlstore.NewQueue(db, s.agentName(), s.log); err != nil {
		return err
	}
	imports := mirror.New(registries, s.content, s.dialer, sqlstore.Operations{DB: db}, sealer, s.queue)
	s.queue.Handle(imports.Jobs())
	s.upkeep(registries, runs)

	urlKey, err := sealer.Derive("signed URLs")
	if err != nil {
		return err
	}
	storage := &blobapi.Server{Log: s.log, Runs: runs, Logs: logs, Uploads: s.uploads, Checker: checker,
		Registries: registries, Domain: pub.Suffix(), Key: urlKey}
	runs.SourceURL = storage.SourceURL
	s.services = armapi.Services{Groups: tenant.NewGroups(documents), Identities: managed, Federated: federated, Registries: registries, Content: s.content, ScopeMaps: scopeMaps, Tokens: tokens, Imports: imports, Tasks: tasks, Runs: runs, Triggers: s.triggers,
		TaskRuns: taskrun.NewService(documents, secrets, managed, runs), Pools: pools, LogURL: storage.LogURL, UploadURL: storage.UploadURL,
		HookURL: func(id string) string { return hooksapi.URL(pub.URL("hooks"), id) }}
	if err := s.route(parts{issuer, checker, directory, documents, storage}); err != nil {
		return err
	}
	if err := ensureAdmin(ctx, documents, directory, checker.Store, s.config.Data, now); err != nil {
		return err
	}
	if err := s.grants(ctx, registries); err != nil {
		return err
	}
	if err := imports.Resume(ctx); err != nil {
		return err
	}
	return runs.EndLost(ctx, s.agentName(), now)
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context, ready func(Published)) error {
	server := &http.Server{Handler: s.router, ConnContext: edge.ConnContext, ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog:  slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{GetCertificate: s.certs.get, MinVersion: tls.VersionTLS12},
		// HTTP/2 is off: it is slower for large blobs, and one connection is shared.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	served := make(chan error, 2)
	go func() { served <- server.ServeTLS(s.bounded(s.listener), "", "") }()
	if s.plain != nil {
		go func() { served <- server.Serve(s.bounded(s.plain)) }()
	}
	ready(s.Published)

	duties, dutyCtx := errgroup.WithContext(ctx)
	for _, duty := range s.duties() {
		duties.Go(func() error { return duty.Run(dutyCtx) })
	}
	var err error
	select {
	case err = <-served:
		stop(err) // without a listener the duties are of no use
	case <-dutyCtx.Done():
	}
	return errors.Join(err, s.stop(server, duties))
}

// bounded gives a listener as many connections as it may have.
func (s *Server) bounded(l net.Listener) net.Listener {
	limits := s.config.Limits
	places := &edge.Places{Max: limits.Connections, Share: limits.PerAddress, Proxies: s.router.Proxies}
	return places.Listen(l)
}

// shutdownTime is how long requests under way have to end.
const shutdownTime = 5 * time.Second

func (s *Server) stop(server *http.Server, duties *errgroup.Group) error {
	dutyErr := duties.Wait()
	ctx, cancel := context.WithTimeoutCause(context.Background(), shutdownTime, ErrShutdown)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		s.log.Warn("some requests were cut off", "err", err)
		_ = server.Close() // they had their time
	}
	return errors.Join(dutyErr, s.close())
}

func (s *Server) close() error {
	var errs []error
	for _, l := range []net.Listener{s.listener, s.plain} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.names != nil {
		if err := s.names.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// duty is background work: it runs until its context ends.
type duty interface {
	Run(ctx context.Context) error
}

func (s *Server) duties() []duty {
	failed := func(err error) { s.log.Error("background work failed", "err", err) }
	s.uploads.Failed, s.pulls.Failed = failed, failed
	all := []duty{
		s.queue,
		&run.Reaper{Runs: s.services.Runs, Failed: failed},
		s.uploads,
		s.pulls,
		s.triggers,
		keeper{s.reserve, failed},
		renewer{s.certs, s.log},
	}
	if s.names != nil {
		all = append(all, s.names)
	}
	if !s.config.Agent.Off {
		all = append(all, &builtinAgent{server: s})
	}
	return all
}

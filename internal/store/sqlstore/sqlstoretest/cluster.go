package sqlstoretest

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// cluster is a PostgreSQL server that runs until its keeper's standard input ends, which
// the kernel closes with this process, however that ends.
type cluster struct {
	dir  string
	life io.WriteCloser
}

var theCluster = sync.OnceValues(start)

// program finds one of PostgreSQL's, which Debian keeps out of the path.
func program(name string) (string, error) {
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(found) > 0 {
		return found[len(found)-1], nil
	}
	return exec.LookPath(name)
}

// keeper runs PostgreSQL in the directory $1 and removes it afterwards. The default
// order of texts is that of a language, so that what relies on the order of bytes and
// does not say so is found out.
const keeper = `set -e; cd "$1"
trap 'cd /; rm -rf "$1"' EXIT
"$2" --pgdata data --username postgres --auth trust --encoding UTF8 --locale C.UTF-8 --locale-provider icu --icu-locale en-US --no-sync >log 2>&1
"$3" -D data -k "$1" -c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=300 -c shared_buffers=32MB >>log 2>&1 &
read line || true
kill -QUIT $!
wait $! || true`

func start() (*cluster, error) {
	initdb, err := program("initdb")
	if err != nil {
		return nil, err
	}
	postgres, err := program("postgres")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "acrux-pg")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("sh", "-c", keeper, "keeper", dir, initdb, postgres)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a ^C is for us alone
	if err := asPostgres(dir, cmd.SysProcAttr); err != nil {
		return nil, err
	}
	c := &cluster{dir: dir}
	if c.life, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return c, c.ready(ended)
}

// asPostgres gives the directory to the user postgres if we are root, whom PostgreSQL
// refuses.
func asPostgres(dir string, attr *syscall.SysProcAttr) error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(dir, uid, gid)
}

// ready waits until the server answers.
func (c *cluster) ready(ended <-chan error) error {
	for range 600 {
		if c.sql(`SELECT 1`) == nil {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("PostgreSQL ended: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
	return errors.Join(fmt.Errorf("PostgreSQL does not answer: %s", log), c.life.Close())
}

func (c *cluster) url(database string) string {
	return "postgres://postgres@/" + database + "?host=" + url.QueryEscape(c.dir)
}

func (c *cluster) sql(statement string) error {
	psql, err := program("psql")
	if err != nil {
		return err
	}
	out, err := exec.Command(psql, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--command", statement, c.url("postgres")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", statement, err, out)
	}
	return nil
}

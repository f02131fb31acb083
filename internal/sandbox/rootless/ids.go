//go:build linux

package rootless

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// leastIDs is the smallest range that will do: images have files of users up to 65534,
// who is nobody.
const leastIDs = 65535

// identity is who runs this program, and what he may map.
type identity struct {
	uid, gid   int
	uids, gids idRange
}

// idRange is a range of subordinate IDs.
type idRange struct{ first, count int }

// find finds out what the user may map. Its errors say what is missing.
func find() (identity, error) {
	for _, program := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(program); err != nil {
			return identity{}, problem.New(problem.Unavailable, "RootlessUnavailable", "running steps without root needs the program %s", program).
				Hint("sudo apt-get install uidmap")
		}
	}
	current, err := user.Current()
	if err != nil {
		return identity{}, fmt.Errorf("finding out who runs this program: %w", err)
	}
	who := identity{uid: os.Getuid(), gid: os.Getgid()}
	names := []string{current.Username, current.Uid}
	if who.uids, err = readRange("/etc/subuid", names); err != nil {
		return identity{}, missing(current.Username, "/etc/subuid", err)
	}
	if who.gids, err = readRange("/etc/subgid", names); err != nil {
		return identity{}, missing(current.Username, "/etc/subgid", err)
	}
	return who, nil
}

func missing(name, file string, err error) error {
	return problem.New(problem.Unavailable, "RootlessUnavailable", "running steps without root needs %d subordinate IDs for %s in %s: %v", leastIDs, name, file, err).
		Hint("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", name)
}

var errNoRange = errors.New("there is no such range")

// readRange finds the first range of someone that is large enough.
func readRange(file string, names []string) (idRange, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return idRange{}, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 || fields[0] != names[0] && fields[0] != names[1] {
			continue
		}
		first, err := strconv.Atoi(fields[1])
		if err != nil {
			continue
		}
		if count, err := strconv.Atoi(fields[2]); err == nil && count >= leastIDs {
			return idRange{first, count}, nil
		}
	}
	return idRange{}, errNoRange
}

// mapIDs gives a process its IDs: 0 is the user himself.
func (who identity) mapIDs(pid int) error {
	for _, m := range []struct {
		program string
		own     int
		more    idRange
	}{{"newuidmap", who.uid, who.uids}, {"newgidmap", who.gid, who.gids}} {
		args := []string{strconv.Itoa(pid), "0", strconv.Itoa(m.own), "1", "1", strconv.Itoa(m.more.first), strconv.Itoa(m.more.count)}
		if out, err := exec.Command(m.program, args...).CombinedOutput(); err != nil {
			return problem.New(problem.Unavailable, "RootlessUnavailable", "%s failed: %s", m.program, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

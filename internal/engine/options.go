package engine

import (
	"fmt"
	"path"
	"strings"
)

// Options are the settings of docker run that few steps use, in docker's terms. The zero
// value of each is docker's default.
type Options struct {
	Hostname        string
	Init            bool     // a first process that passes signals on and reaps orphans
	ReadOnly        bool     // the root file system
	NoNewPrivileges bool     // no program gains any by its owner or capabilities
	Tmpfs           []string // "PATH" or "PATH:OPTIONS"
	ShmSize         int64    // bytes of /dev/shm
	Ulimits         []string // "nofile=1024:2048"
	CapAdd, CapDrop []string // "NET_ADMIN", "CAP_NET_ADMIN", "ALL"
	Groups          []string // beside the user's
	CPUSet          string   // "0-1,3"
	CPUShares       uint64
	Pids            int64 // processes and threads
	Reservation     int64 // bytes of memory
	Swap            int64 // bytes of memory and swap together; -1 is no limit
}

// tmpfsOptions are those of docker's that concern a file system in memory alone. Others
// would make another kind of mount of it.
var tmpfsOptions = map[string]bool{
	"ro": true, "rw": true, "suid": true, "nosuid": true, "dev": true, "nodev": true, "exec": true, "noexec": true,
	"sync": true, "async": true, "dirsync": true, "atime": true, "noatime": true, "diratime": true, "nodiratime": true,
	"relatime": true, "norelatime": true, "strictatime": true, "nostrictatime": true,
	"size": true, "mode": true, "uid": true, "gid": true, "nr_inodes": true, "nr_blocks": true, "mpol": true,
}

// CheckTmpfs reads Tmpfs as docker's client does. Its errors are docker's words.
func (o Options) CheckTmpfs() error {
	for _, entry := range o.Tmpfs {
		at, options, given := strings.Cut(entry, ":")
		if !path.IsAbs(at) {
			return fmt.Errorf("invalid mount path: '%s' mount path must be absolute", at)
		}
		if !given {
			continue
		}
		for option := range strings.SplitSeq(options, ",") {
			if name, _, _ := strings.Cut(option, "="); !tmpfsOptions[name] {
				return fmt.Errorf("invalid tmpfs option [%q]", option)
			}
		}
	}
	return nil
}

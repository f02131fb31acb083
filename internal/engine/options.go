package engine

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

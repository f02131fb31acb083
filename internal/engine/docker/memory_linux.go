package docker

import "golang.org/x/sys/unix"

// memory is a directory whose files are kept in memory; empty if there is none.
func memory() string {
	const dir = "/dev/shm"
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		return ""
	}
	return dir
}

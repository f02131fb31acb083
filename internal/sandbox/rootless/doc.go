// Package rootless lets an ordinary user run the engine: it starts this program again as
// root of a user namespace, in which the user's own ID is 0 and a range of subordinate
// IDs the others.
//
//	acrux serve (uid 1000) ── newuidmap, newgidmap ──▶ first process (uid 0, waits for orphans)
//	       └── signals, exit status ◀──────────────────────── acrux serve (uid 0 inside)
//
// The first process has a namespace of processes and of mounts as well, so everything
// goes with it when it ends, and it ends when the process outside does, however that
// ends. The network is the machine's: registries are reached, and clients served, as
// without all this.
//
// What it takes: user namespaces, the programs newuidmap and newgidmap (Debian's package
// uidmap), and a range for the user in /etc/subuid and /etc/subgid. subuid(5),
// user_namespaces(7).
package rootless

// Package userns gives runs user IDs of their own.
//
// Root of a container is nobody on the machine: it has a user namespace whose IDs are a
// range that no account has, another one for each run. Files keep the IDs that images
// give them. What a run sees of them it sees through a View, a mount that translates IDs
// in both directions; so nothing is copied or changes its owner, whichever run uses it.
//
// A View needs Linux 5.19 (layers of an overlay that are mounted so), and a file system
// that takes part: ext4, xfs, btrfs, and tmpfs from 6.3 on. Check tells.
package userns

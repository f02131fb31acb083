package userns

// Size is how many IDs a run has: as many as images use, whose files belong to users up to
// 65534, who is nobody.
const Size = 1 << 16

// The ranges lie above what systemd gives to containers (0x00080000 to 0x6fffffff) and
// below those of its other services (from 0x7ffe0000 on): see its UIDS-GIDS.md.
const (
	first = 0x70000000
	end   = 0x7ff00000
)

// IDs is a range of user and group IDs of the machine, Size long. The zero value is none:
// IDs are those of the machine.
type IDs struct{ First int }

// None reports whether there is no range.
func (i IDs) None() bool { return i.First == 0 }

package buildlog

import "fmt"

// Size prints a number of bytes as docker does: in powers of a thousand, with four
// digits, "25.6kB".
func Size(bytes int64) string {
	size, unit := float64(bytes), 0
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	for size >= 1000 && unit < len(units)-1 {
		size /= 1000
		unit++
	}
	return fmt.Sprintf("%.4g%s", size, units[unit])
}

// Context is the line that tells how large the build context was.
func Context(bytes int64) string {
	return fmt.Sprintf("Sending build context to Docker daemon  %s\n", Size(bytes))
}

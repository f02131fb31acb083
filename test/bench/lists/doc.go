// Package lists measures how long the first page of each list takes, with so much data and
// with ten times as much, and beside an older program if there is one:
//
//	go test ./test/bench/lists -run ^$ -bench . -benchtime 1x -args -program bin/acrux -before /path/of/an/older/acrux
//
// The databases are filled in the schema of 00006, which the older program takes as it is
// and the present one migrates. All servers answer in turns, in one run.
package lists

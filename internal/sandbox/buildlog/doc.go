// Package buildlog prints the progress of a build as docker's classic builder does:
// "Step 2/6 : FROM …", the output of RUN, " ---> 9fceb02c5b1f", and so on.
//
// The builder beneath works on a graph: it runs what it can at the same time, leaves
// out what nobody needs, and knows nothing of steps. The printer is told which
// vertices of the graph belong to which step; it prints the steps in the order of the
// file, streams the output of the first one that is not done, and keeps the output of
// later ones back until it is their turn.
//
// All it takes is plain data, so it knows nothing of the builder.
package buildlog

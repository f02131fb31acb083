// Package container runs containers on libcontainer, inside this process.
//
// There is no runtime program to install: libcontainer starts a container by
// running this very binary again with the argument "init", which this package
// takes over in its init function before main is reached. That is the one init
// function with an effect in the whole project; being one, it works in test
// binaries as well.
//
// A Runtime owns a directory of container states and a control group named after
// it. Both outlive a killed process, and Cleanup removes what such a process left.
//
// It needs Linux and cgo (the code that enters namespaces is C); elsewhere the
// package is empty.
package container

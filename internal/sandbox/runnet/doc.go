// Package runnet gives each run a network of its own: a router namespace that holds
// the bridges of the run's networks, and one namespace for each container, tied to
// a bridge.
//
// What a step must reach at a fixed address, such as the managed-identity endpoint
// on 169.254.169.254, is a listener of this process inside the router namespace.
// Only that run can reach it, so being reached there is the caller's identity;
// nothing has to be translated or filtered, and nothing clashes with an address of
// the machine itself.
//
// Names of steps are kept in a hosts file for each container, rewritten in place
// whenever a step of the network starts or ends: a running program sees new names
// at once.
//
// Namespaces are kept alive by files they are mounted on. Removing the files of a
// run removes the whole network, devices and all; that is how both Close and the
// clean-up after a killed process work.
package runnet

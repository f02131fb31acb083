// Package clientimage makes images of programs as they are installed on this machine: docker's
// client, and the tools that task files know by a short name. Steps run them also where no
// registry can be asked.
//
// An image has one layer: the programs, busybox or else a shell, and the loader and the
// libraries that these need if they are not linked statically. The same files give the
// same bytes, so that the image is the same one each time.
package clientimage

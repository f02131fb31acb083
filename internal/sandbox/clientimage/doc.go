// Package clientimage makes an image of docker's client as it is installed on this
// machine. Steps such as "docker stop web" run it, also where no registry can be asked.
//
// The image has one layer: the client, busybox or else a shell, and the loader and the
// libraries that these need if they are not linked statically. The same files give the
// same bytes, so that the image is the same one each time.
package clientimage

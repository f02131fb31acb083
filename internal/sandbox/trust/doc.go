// Package trust lets programs in containers trust the authority of this installation, as they
// trust those that their image brings: its certificates are added where programs look.
//
// What is added are ordinary files in the container's own file system. Mounts over the usual
// files would be simpler, but no program may replace a file that is a mount, and installing
// certificates, in a RUN for instance, does just that. Undo takes everything out again, so
// that nothing of it stays in an image.
//
//   - The bundles that the image has, and those that variables name, get our certificates at
//     their end: for what is linked with GnuTLS, curl, git, Go, wget.
//   - The directory of single certificates gets a file under the name by which OpenSSL looks
//     for it: for Python, Perl, Ruby and openssl on systems that read no bundle.
//   - Variables tell those that bring authorities of their own: Node, and Python's requests.
//
// Java reads a store of its own format, which stays as the image has it.
package trust

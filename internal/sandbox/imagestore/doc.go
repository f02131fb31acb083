// Package imagestore keeps images: their blobs, their unpacked layers and their names,
// on containerd's metadata database, content store and overlay snapshotter, all in
// this process. BuildKit works on the same store, so an image just built runs without
// a copy.
//
// Blobs and layers are shared by all runs; names are not. A Run sees the names it
// made itself and nothing else, and it always asks the registry, with its own
// credentials, before a name refers to anything. So having the blobs of an image in
// the store gives nobody the right to it.
//
// Where containers run elsewhere, a store of OpenBlobs keeps names and blobs alone, and
// images go to the engine there and come from it as archives: Export, Import.
//
// What a run makes is kept by its lease until it closes. Blobs of pulled images stay
// a while longer under names of the store's own, so that the next run that is
// allowed to pull them need not fetch them again.
package imagestore

// Package docker is an engine.Executor on a Docker Engine of this machine, for where
// the embedded one cannot work: macOS, Windows, and Linux without root.
//
//	registries ─ imagestore (here: names, blobs, credentials) ─ load, save ─ engine (runs, builds)
//
// The engine never speaks to a registry and is given no credentials: images are
// resolved and fetched here, by the run and with its own credentials, and loaded into
// the engine; what it builds is taken out of it, and pushed from here. So the engine's
// having an image gives no run the right to it, and what the engine cannot reach or does
// not trust, such as this server on the loopback interface, works all the same.
//
// In the engine everything of a run bears a name that begins with the executor's and
// the run's, and labels that say the same. Closing the scope removes it; what a killed
// process left is removed by the next Open. Nothing else is touched.
//
// What an engine that others use too cannot give: see docs/reference/docker-engine.md.
package docker

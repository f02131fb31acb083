// Package dockerapi is the part of Docker's Engine API that steps get: published task
// files stop containers, tag and push images with docker's client. It is served on a
// socket of each run's own and sees that run only.
//
//	docker stop web ─ /var/run/docker.sock ─ Handler ─ Engine (the run's scope)
//
// The Engine says what there is and does it; Handler translates, and refuses by name what
// is not offered. Nothing that a client asks for is left out silently: a setting that is
// neither docker's default nor known here fails the request.
//
// Source: Docker Engine API v1.47, https://docs.docker.com/reference/api/engine/.
package dockerapi

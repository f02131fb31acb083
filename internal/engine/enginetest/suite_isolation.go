package enginetest

import (
	"bytes"
	"sync"

	"github.com/acrux/acrux/internal/engine"
)

var isolationTests = map[string]func(*suite){
	"ImagesAreTheRuns":           (*suite).testImagesAreTheRuns,
	"CachedImagesAreAskedFor":    (*suite).testCachedImagesAreAskedFor,
	"CredentialsAreNotShared":    (*suite).testCredentialsAreNotShared,
	"RunsAtOnceDoNotMeet":        (*suite).testRunsAtOnceDoNotMeet,
	"RunIDsAreTakenOnce":         (*suite).testRunIDsAreTakenOnce,
	"WhatARunMadeGoesWithItsEnd": (*suite).testWhatARunMadeGoesWithItsEnd,
}

func (s *suite) testImagesAreTheRuns() {
	r, other := s.open(nil), s.open(nil)
	tag := s.Public.Host + "/private/to:run"
	r.mustBuild("FROM "+s.Base+"\n", tag)
	if result, out := other.command(engine.Command{Image: tag, Args: []string{"true"}}); result.ExitCode != 125 {
		s.Errorf("another run has the image:\n%s", out)
	}
	if result, out := other.build("FROM "+tag+"\n", nil); result.OK {
		s.Errorf("another run builds on the image:\n%s", out)
	}
	if result, out := other.push(tag); result.OK {
		s.Errorf("another run pushes the image:\n%s", out)
	}
}

// A digest whose blobs are in the store is no right to the image.
func (s *suite) testCachedImagesAreAskedFor() {
	r := s.open(s.Private.Credentials())
	result, _ := r.mustBuild("FROM " + s.Locked + "\nRUN echo cached\n")
	pinned := s.Private.Host + "/baseimages/busybox@" + result.Bases[0].Digest
	r.mustBuild("FROM " + pinned + "\nRUN echo cached\n")
	stranger := s.open(nil)
	if result, out := stranger.build("FROM "+pinned+"\nRUN echo cached\n", nil); result.OK {
		s.Errorf("a run without credentials built on a private image:\n%s", out)
	}
	if result, out := stranger.command(engine.Command{Image: pinned, Args: []string{"true"}}); result.ExitCode == 0 {
		s.Errorf("a run without credentials ran a private image:\n%s", out)
	}
}

// Builds that ask for the same name at the same time get answers of their own.
func (s *suite) testCredentialsAreNotShared() {
	var wait sync.WaitGroup
	for i := range 6 {
		credentials := s.Private.Credentials()
		if i%2 == 1 {
			credentials = nil
		}
		r := s.open(credentials)
		dockerfile := r.file("Dockerfile", "FROM "+s.Locked+"\nRUN echo same\n")
		wait.Go(func() {
			var out bytes.Buffer
			result, err := r.Build(s.Context(), engine.Build{ContextDir: r.spec.Workspace, Dockerfile: dockerfile}, &out)
			if err != nil || result.OK != (credentials != nil) {
				s.Errorf("credentials %v: result %+v, error %v\n%s", credentials != nil, result, err, out.String())
			}
		})
	}
	wait.Wait()
}

func (s *suite) testRunsAtOnceDoNotMeet() {
	a, b := s.open(nil), s.open(nil)
	for _, r := range []*run{a, b} {
		r.pull()
		if err := r.CreateNetwork(s.Context(), engine.Network{Name: "net"}); err != nil {
			s.Fatal(err)
		}
	}
	a.command(engine.Command{Name: "server", Network: "net", Detach: true, Args: []string{"sleep", "1000"}})
	if result, out := b.command(engine.Command{Network: "net", Args: []string{"grep", "server", "/etc/hosts"}}); result.ExitCode == 0 {
		s.Errorf("another run knows the step: %s", out)
	}
	// The same name is free in the other run.
	if result, out := b.command(engine.Command{Name: "server", Args: []string{"true"}}); result.ExitCode != 0 {
		s.Errorf("exit code %d\n%s", result.ExitCode, out)
	}
	a.shell("echo mine > /workspace/file")
	if result, _ := b.command(engine.Command{Args: []string{"cat", "/workspace/file"}}); result.ExitCode == 0 {
		s.Error("another run sees the workspace")
	}
}

func (s *suite) testRunIDsAreTakenOnce() {
	r := s.open(nil)
	if scope, err := s.executor.Open(s.Context(), r.spec); err == nil {
		scope.Close()
		s.Error("a run was opened twice")
	}
	if scope, err := s.executor.Open(s.Context(), engine.RunSpec{ID: "../x"}); err == nil {
		scope.Close()
		s.Error("a path was accepted as a run's ID")
	}
}

func (s *suite) testWhatARunMadeGoesWithItsEnd() {
	r := s.open(nil)
	r.mustBuild("FROM "+s.Base+"\n", "mine")
	spec := r.spec
	if err := r.Close(); err != nil {
		s.Fatal(err)
	}
	again := s.openSpec(spec)
	if result, out := again.build("FROM mine\n", nil); result.OK {
		s.Errorf("a run finds an image of a former one of the same ID:\n%s", out)
	}
}

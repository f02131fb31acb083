# Two commands matter: `make demo` shows the tutorial, `make test` proves everything.
# Both install what they need from Debian's packages; nothing is needed at run time.

GO      ?= go
TAGS    := seccomp netgo osusergo
LDFLAGS := -s -w -extldflags -static
BUILDFLAGS ?= -trimpath
# BuildKit has races of its own; tools/race.txt names them for the detector.
RACE    := GORACE="suppressions=$(CURDIR)/tools/race.txt"
# The program for those who have a Docker Engine, on systems where the embedded one is not.
OTHERS  := for os in darwin windows; do CGO_ENABLED=0 GOOS=$$os $(GO) vet ./cmd/acrux || exit; done
export CGO_ENABLED := 1
define VET
$(GO) vet -tags "$(TAGS)" ./...
$(OTHERS)
$(GO) -C test/compat vet -tags "$(TAGS)" ./...
endef

.PHONY: build demo test test-race test-vm check bench bench-registry bench-lists deps deps-build deps-test deps-engine deps-clients clean

build: bin/acrux ## build bin/acrux, static and stripped

bin/acrux: deps-build FORCE
	$(GO) build $(BUILDFLAGS) -tags "$(TAGS)" -ldflags "$(LDFLAGS)" -o $@ ./cmd/acrux
	ln -sf acrux bin/az

demo: build deps-test ## run the tutorial, both options; KEEP=1 leaves the server up
	$(GO) build -o bin/upstream ./test/fixture/cmd/upstream
	KEEP=$(KEEP) bash test/demo/demo.sh

# Most tests wait for other processes half of the time: more packages at once than processors.
# The race detector makes the whole suite twice as long: here it watches the short tests, and
# in test-race all of them.
test: deps ## run all tests, and the short ones with the race detector as well
	$(VET)
	bash tools/test.sh -p 4 -tags "$(TAGS)" -timeout 60m ./...
	cd test/compat && bash ../../tools/test.sh -tags "$(TAGS)" -timeout 60m ./...
	$(RACE) bash tools/test.sh -race -short -tags "$(TAGS)" -timeout 60m ./...

test-race: deps ## run all tests with the race detector; takes most of an hour, not in CI
	$(RACE) bash tools/test.sh -race -p 3 -tags "$(TAGS)" -timeout 60m ./...
	cd test/compat && $(RACE) bash ../../tools/test.sh -race -tags "$(TAGS)" -timeout 60m ./...

test-vm: ## run the engine's tests on Debian 12 in a virtual machine; takes most of an hour, not in CI
	bash tools/vm/run.sh

check: ## format, vet, lint, architecture, short tests
	@test -z "$$(gofmt -l cmd internal test *.go)" || { gofmt -l cmd internal test *.go; echo "run gofmt"; exit 1; }
	$(VET)
	$(GO) tool -modfile=tools/go.mod staticcheck -tags "$(subst $() ,$(comma),$(TAGS))" ./...
	$(GO) -C test/compat tool -modfile=../../tools/go.mod staticcheck -tags "$(subst $() ,$(comma),$(TAGS))" ./...
	$(GO) test -short -tags "$(TAGS)" ./...

bench: build deps-test ## measure what is promised and print both
	$(GO) run -tags "$(TAGS)" ./test/bench
	$(GO) test -tags "$(TAGS)" -run '^$$' -bench Over -benchtime 50x ./internal/engine/embedded ./internal/sandbox/buildkit

bench-registry: build ## measure the registry beside a peer; takes some minutes
	$(GO) run -tags "$(TAGS)" ./test/bench/registry

bench-lists: build ## measure the first page of each list; BEFORE=PROGRAM measures an older one beside
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./test/bench/lists -args -program $(CURDIR)/bin/acrux $(if $(BEFORE),-before $(BEFORE))

deps-build: ; @bash tools/install.sh gcc pkg-config libseccomp-dev
deps-test:  ; @bash tools/install.sh git busybox-static curl procps iproute2 postgresql uidmap util-linux
# A Docker Engine, which the tests of engine/docker start for themselves, and its client.
deps-engine: ; @bash tools/install.sh docker.io
# Other people's clients, for test/compat, whose tests say what is missing.
deps-clients: ; -@bash tools/install.sh azure-cli podman skopeo
deps: deps-build deps-test deps-engine deps-clients

clean:
	rm -rf bin

comma := ,
FORCE: ;

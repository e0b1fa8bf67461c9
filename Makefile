# `make run` starts a node and signs you in; `make test` proves that it works.
export CGO_ENABLED ?= 0
ROOMS = $(shell go list ./... | grep -v /e2e/)
BROWSER = $(shell ls /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome 2>/dev/null)
FOREIGN = $(shell ls /usr/lib/apache2/modules/mod_auth_openidc.so 2>/dev/null && command -v npm)
STORIES = -p 2 ./e2e/process $(shell go list ./e2e/... | grep -vE '/process$$' | grep -vE '$(if $(CI)$(BROWSER),nothing,/browser$$)|$(if $(CI)$(FOREIGN),nothing,/foreign$$)')
FUZZTIME ?= 20s
FAULTS ?= 2m
.PHONY: build run run3 test race lint verify e2e faults soak fuzz bench chromium clean help

build: ## build bin/quis, one static binary
	go build -trimpath -ldflags "-s -w" -o bin/quis ./cmd/quis

run: build ## one node with the demo application; make run PORT=9000 takes another port than 8080
	bin/quis dev $(if $(PORT),--port $(PORT))
run3: build ## three nodes with the demo application; PORT as above
	bin/quis dev --nodes 3 $(if $(PORT),--port $(PORT))

test: chromium ## everything that must hold: rooms, then the stories, of which the one that mostly waits runs beside the others
	go test -timeout 10m $(ROOMS)
	go test -timeout 30m -count 1 $(STORIES)

race: ## the rooms under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 30m $(ROOMS)

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./...
	go tool staticcheck ./...
verify: lint ## lint, modules unchanged since their checksums, the rules of the house
	go mod verify
	go test -count 1 ./e2e/layout

e2e: chromium ## the stories: real processes, a real browser
	go test -timeout 30m -count 1 -v $(STORIES)

faults: ## every fault for FAULTS (2m) in one process and on real nodes, leader kills, rolling restarts; a table
	QUIS_FAULTS_FOR=$(FAULTS) QUIS_KILLS=$${QUIS_KILLS:-30} QUIS_ROLLS=$${QUIS_ROLLS:-3} QUIS_UPGRADES=$${QUIS_UPGRADES:-5} go test -timeout 3h -count 1 -p 1 -v \
	  -run 'TestHouse|TestFaults|TestLeaderKills|TestRollingRestart|TestRollingUpgrade' ./e2e/house ./e2e/process
soak: ## the same for an hour
	$(MAKE) faults FAULTS=24m QUIS_KILLS=100 QUIS_ROLLS=20

fuzz: ## every fuzz target for FUZZTIME (20s)
	@grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go | cut -c6-); do \
	    go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$dir || exit 1; done; done

bench: ## measure; a table here, and bench.json
	go run ./e2e/bench -json bench.json
chromium: # what the stories need, from Debian's packages if we may install them: a browser, Prometheus, foreign clients
	@test -n "$(BROWSER)" -a -n "$(FOREIGN)" || \
	{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-liberation prometheus nftables iproute2 apache2 libapache2-mod-auth-openidc $(if $(shell command -v npm),,nodejs npm) >/dev/null; } || \
	echo "NOTE: no $(if $(BROWSER),,Chromium )$(if $(FOREIGN),,mod_auth_openidc and npm), and none could be installed: stories that need it $(if $(CI),fail,are left out)." >&2
	@test -e /usr/bin/chromium-headless-shell -o "$$(id -u)" != 0 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium-headless-shell; } >/dev/null 2>&1 || : # a whole one does, at twice the work

clean: ## remove what was built and measured; data of quis dev stays (quis dev --reset)
	rm -rf bin bench.json
help: ## this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

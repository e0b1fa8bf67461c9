// Package dashboard makes deploy/grafana/quis.json and proves that what operators look at
// is there: every metric and label that the dashboard, the alerting rules and the
// documents name is exported by nodes that run, the rules fire when they should, and a
// Prometheus that scrapes three nodes evaluates all of it.
//
// The dashboard is written here, as Go, and kept as JSON for Grafana:
//
//	go generate ./e2e/dashboard
//
// Prometheus and promtool are used where they are installed (on Debian, the package
// prometheus); without them the rules are checked for their structure and their names
// alone, and the tests say so.
package dashboard

//go:generate go test -run TestGolden -update

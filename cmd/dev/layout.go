package dev

import (
	"fmt"
	"path/filepath"
)

// Fixed addresses of development mode; tests and the demo rely on them.
const (
	Issuer   = "http://localhost:8080"
	DemoURL  = "http://localhost:8090"
	MaxNodes = 7

	proxyAddress = "127.0.0.1:8080"
	demoAddress  = "127.0.0.1:8090"
)

// A place is where one node lives: its files and its ports.
type place struct {
	Index      int
	Name       string // node-1
	Dir        string // DIR/node-1
	URL        string // http://localhost:8081
	Public     string // 127.0.0.1:8081
	Operations string // 127.0.0.1:9081
	Cluster    string // 127.0.0.1:8311
	Gossip     string // 127.0.0.1:8321
}

// placeOf returns where node i of n lives under dir. A single node takes the
// issuer's port itself; several leave it to the proxy.
func placeOf(dir string, i, n int) place {
	offset := i
	if n == 1 {
		offset = 0
	}
	name := fmt.Sprintf("node-%d", i)
	return place{
		Index:      i,
		Name:       name,
		Dir:        filepath.Join(dir, name),
		URL:        fmt.Sprintf("http://localhost:%d", 8080+offset),
		Public:     fmt.Sprintf("127.0.0.1:%d", 8080+offset),
		Operations: fmt.Sprintf("127.0.0.1:%d", 9080+offset),
		Cluster:    fmt.Sprintf("127.0.0.1:%d", 8310+i),
		Gossip:     fmt.Sprintf("127.0.0.1:%d", 8320+i),
	}
}

func (p place) configFile() string { return filepath.Join(p.Dir, "quis.yaml") }
func (p place) logFile() string    { return filepath.Join(p.Dir, "quis.log") }
func (p place) readyURL() string   { return "http://" + p.Operations + "/readyz" }

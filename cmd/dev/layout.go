package dev

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/cmd/demo"
)

// Limits and defaults of development mode.
const (
	DefaultPort = 8080 // of the issuer; whatever else listens has its port by its distance from that one
	MinPort     = 1024
	MaxPort     = 64000
	MaxNodes    = 7
)

// Issuer is the issuer of a house at that port: its proxy, or its only node.
func Issuer(port int) string { return fmt.Sprintf("http://localhost:%d", port) }

// IssuerIn returns the issuer of the house whose data is in dir, and whether there is one.
func IssuerIn(dir string) (string, bool) {
	port := portIn(dir)
	return Issuer(port), port != 0
}

// portIn returns the port of the house whose data is in dir, 0 if none is there. One whose first
// node was never started, perhaps because a port was taken, is none yet.
func portIn(dir string) int {
	first := place{Dir: filepath.Join(dir, "node-1")}
	if _, err := os.Stat(first.logFile()); err != nil {
		return 0
	}
	c, err := daemon.Load(daemon.Source{File: first.configFile()})
	port := 0
	if _, scanned := fmt.Sscanf(c.PublicURL, "http://localhost:%d", &port); err != nil || scanned != nil {
		return DefaultPort // somebody has changed the file, which is written anew
	}
	return port
}

func proxyAddress(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
func demoAddress(port int) string  { return fmt.Sprintf("127.0.0.1:%d", port+demo.Above) }

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

// placeOf returns where node i of the house lives. A single node takes the
// issuer's port itself; several leave it to the proxy.
func (o Options) placeOf(i int) place {
	offset := i
	if o.Nodes == 1 {
		offset = 0
	}
	name := fmt.Sprintf("node-%d", i)
	return place{
		Index:      i,
		Name:       name,
		Dir:        filepath.Join(o.Dir, name),
		URL:        Issuer(o.Port + offset),
		Public:     fmt.Sprintf("127.0.0.1:%d", o.Port+offset),
		Operations: fmt.Sprintf("127.0.0.1:%d", o.Port+1000+offset),
		Cluster:    fmt.Sprintf("127.0.0.1:%d", o.Port+230+i),
		Gossip:     fmt.Sprintf("127.0.0.1:%d", o.Port+240+i),
	}
}

func (p place) configFile() string { return filepath.Join(p.Dir, "quis.yaml") }
func (p place) logFile() string    { return filepath.Join(p.Dir, "quis.log") }
func (p place) readyURL() string   { return "http://" + p.Operations + "/readyz" }

package daemon

import (
	"log/slog"
	"os"
	"time"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// A Config is what one node needs before it has a store. Load fills it; tests
// build it themselves and call Validate.
type Config struct {
	NodeID    string // name of this node within the cluster; never changes
	DataDir   string // directory that holds the store, the log and the local socket
	PublicURL string // origin that browsers and applications use: the default tenant's issuer

	Listen         Listen
	TLS            TLS
	TrustedProxies []string // CIDR prefixes whose X-Forwarded-* headers are believed

	Outbound Outbound

	RootKey     *seal.RootKey // the key itself, from QUIS_ROOT_KEY; else RootKeyFile is read
	RootKeyFile string        // file that holds the root key, readable by its owner only

	Cluster       Cluster
	Disk          Disk
	BreachFile    string // set of breached passwords, made by quis breach build
	BreachURL     string // where passwords are looked up that are not in it
	BootstrapFile string // users, groups, applications and tokens to bring about, as YAML
	Log           Log
	Staleness     time.Duration // how old this node's state may be when it answers yes on its own

	// Drain is how long a stopping node reports that it is not ready before its
	// listeners close: longer than load balancers take to notice.
	Drain time.Duration

	// Dev relaxes and tightens for a developer's machine: every address must be
	// loopback, and the demo application is registered.
	Dev bool

	// Logger, if set, is used instead of one made from Log. Tests set it.
	Logger *slog.Logger
	// Fatal, if set, is told why the node can no longer go on, instead of ending the
	// process. Tests set it.
	Fatal func(error)
	// TuneStore and TuneCluster, if set, change what the store and the node's place in
	// the cluster are opened with: tests cut links, set clocks and pull plugs with them.
	TuneStore   func(*fsm.Config)
	TuneCluster func(*cluster.Config)
}

// Listen says where a node serves HTTP.
type Listen struct {
	Public       string // host:port for people and applications
	Operations   string // host:port for health and metrics; loopback unless the network is trusted
	Certificates string // host:port where people's browsers are asked for certificates; empty: none of its own
}

// TLS names the certificate of the public listener; without one it serves HTTP,
// for a proxy that terminates TLS.
type TLS struct {
	CertFile, KeyFile string // PEM
	// ClientCertificates has the listener ask for those of applications (RFC 8705).
	ClientCertificates bool
	ClientCAFile       string // PEM certificates of who may certify applications
	ClientHeader       string // in which trusted proxies pass client certificates; empty: none is believed
	CertificateURL     string // origin at which people's browsers are asked for certificates; empty: nobody signs in with one
}

// Outbound says which addresses that applications registered (key sets, sign-out
// notices) this node may send requests to. Public ones on port 443 always.
type Outbound struct {
	Allow  []string // addresses and CIDR prefixes of internal networks, on every port
	Ports  []string // ports of public addresses besides 443
	CAFile string   // PEM certificates that are trusted besides the system's
}

// Cluster says how this node finds and talks to the others.
type Cluster struct {
	Listen          string   // host:port for Raft and node calls, always TLS
	Advertise       string   // host:port that the others dial; default: Listen
	Gossip          string   // host:port for gossip, TCP and UDP
	GossipAdvertise string   // host:port that the others gossip with; default: Gossip
	BootstrapExpect int      // nodes that must see each other before the cluster is made
	Join            []string // cluster addresses (Advertise) of other nodes, DNS names or SRV records

	JoinToken     *form.Token // by which this node joins; nil: none, or it is in JoinTokenFile
	JoinTokenFile string      // file with the token; not looked at once the node belongs to a cluster
	// Heartbeat is how long a follower waits for its leader before it stands for
	// election; larger on a WAN.
	Heartbeat time.Duration
	// CompareEvery is how often the members' states are compared; the time that hashing
	// takes may make it longer.
	CompareEvery time.Duration
}

// Disk says when the disk of the data directory is too full, in MiB that are free; 0:
// by its size.
type Disk struct {
	WarnBelow   int // another node should lead; 0: a tenth, at most 1 GiB
	RefuseBelow int // nothing is written any more; 0: a fortieth, at most 256 MiB
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level
	Format string // text, json, or auto: text on a terminal, JSON otherwise
}

// Default returns the configuration that an empty file means.
func Default() Config {
	host, _ := os.Hostname() // without a host name Validate asks for node_id
	return Config{
		NodeID:  host,
		DataDir: "/var/lib/quis",
		Listen:  Listen{Public: ":8080", Operations: "127.0.0.1:9080"},
		Cluster: Cluster{
			Listen:          ":8300",
			Gossip:          ":8301",
			BootstrapExpect: 1,
			Heartbeat:       300 * time.Millisecond,
			CompareEvery:    5 * time.Minute,
		},
		Log:       Log{Format: "auto"},
		Staleness: 500 * time.Millisecond,
		Drain:     3 * time.Second,
	}
}

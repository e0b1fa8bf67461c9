package daemon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cmd/daemon/document"
	"github.com/quis-idp/quis/keys/seal"
)

// A Setting is one key of the configuration: its place in the file, and with it
// the names of its flag and its environment variable.
type Setting struct {
	Key    string // dotted place in the file: cluster.listen
	Doc    string // one sentence for the reference, the template and --help
	List   bool   // several values: a YAML sequence, or separated by commas
	Secret bool   // never a flag (other users see a process's arguments)

	set func(*Config, []string) error
	get func(*Config) string
}

// Flag is the name of the setting's command-line flag.
func (s Setting) Flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.Key) }

// Env is the name of the setting's environment variable.
func (s Setting) Env() string {
	return "QUIS_" + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
}

// Value is what the setting is in c, as it would be written in the environment.
func (s Setting) Value(c *Config) string { return s.get(c) }

// Settings lists every setting, in the order of the file.
func Settings() []Setting { return settings }

var settings = []Setting{
	text("node_id", "Name of this node within the cluster; never changes. Default: the host name.",
		func(c *Config) *string { return &c.NodeID }),
	text("data_dir", "Directory of the store, the Raft log and the local socket.",
		func(c *Config) *string { return &c.DataDir }),
	text("public_url", "Origin that browsers and applications use; also the issuer. The same on every node.",
		func(c *Config) *string { return &c.PublicURL }),
	text("listen.public", "Address for people and applications.",
		func(c *Config) *string { return &c.Listen.Public }),
	text("listen.operations", "Address for /livez, /readyz and /metrics.",
		func(c *Config) *string { return &c.Listen.Operations }),
	text("listen.certificates", "Address where people's browsers are asked for certificates, and nothing else is; needs tls.cert_file and tls.certificate_url. Empty: none of its own.",
		func(c *Config) *string { return &c.Listen.Certificates }),
	text("tls.cert_file", "PEM certificate chain of the public address; without one it serves plain HTTP.",
		func(c *Config) *string { return &c.TLS.CertFile }),
	text("tls.key_file", "PEM private key of the certificate.",
		func(c *Config) *string { return &c.TLS.KeyFile }),
	flag("tls.client_certificates", "Ask for client certificates of applications (mTLS); browsers may then ask people for one as well.",
		func(c *Config) *bool { return &c.TLS.ClientCertificates }),
	text("tls.client_ca_file", "PEM certificates of the authorities that certify applications (tls_client_auth).",
		func(c *Config) *string { return &c.TLS.ClientCAFile }),
	text("tls.client_header", "Header in which the trusted_proxies pass the client certificate that was proven to them, replacing any that came with the request; empty: none is believed.",
		func(c *Config) *string { return &c.TLS.ClientHeader }),
	text("tls.certificate_url", "Origin at which browsers ask people for certificates or smart cards, such as https://id.example.com:8443, on the site of public_url; empty: nobody signs in with one.",
		func(c *Config) *string { return &c.TLS.CertificateURL }),
	list("trusted_proxies", "Addresses or prefixes of proxies whose X-Forwarded-For and -Proto are believed.",
		func(c *Config) *[]string { return &c.TrustedProxies }),
	list("outbound.allow", "Internal addresses or prefixes that requests to URLs of applications (key sets, sign-out notices) may go to; public ones always may.",
		func(c *Config) *[]string { return &c.Outbound.Allow }),
	list("outbound.ports", "Ports of public addresses that such requests may go to besides 443.",
		func(c *Config) *[]string { return &c.Outbound.Ports }),
	text("outbound.ca_file", "PEM certificates that such requests trust besides the system's.",
		func(c *Config) *string { return &c.Outbound.CAFile }),
	{Key: "root_key", Secret: true,
		Doc: "The root key itself, 32 bytes as hex or base64; several while it is replaced, separated by commas. Rather use root_key_file.",
		set: func(c *Config, v []string) error {
			k, err := seal.ParseRootKey(v[0])
			if err != nil {
				return err
			}
			c.RootKey = k
			return nil
		},
		get: func(*Config) string { return "" }},
	text("root_key_file", "File that holds the root key, the same on every node; several lines while it is replaced (quis root-key).",
		func(c *Config) *string { return &c.RootKeyFile }),
	text("cluster.listen", "Address for Raft and node-to-node calls (TLS).",
		func(c *Config) *string { return &c.Cluster.Listen }),
	text("cluster.advertise", "Address under which the other nodes reach cluster.listen.",
		func(c *Config) *string { return &c.Cluster.Advertise }),
	text("cluster.gossip", "Address for gossip, TCP and UDP (encrypted).",
		func(c *Config) *string { return &c.Cluster.Gossip }),
	text("cluster.gossip_advertise", "Address under which the other nodes reach cluster.gossip.",
		func(c *Config) *string { return &c.Cluster.GossipAdvertise }),
	number("cluster.bootstrap_expect", "Nodes that must see each other before a new cluster is made; 0 only joins.",
		func(c *Config) *int { return &c.Cluster.BootstrapExpect }),
	list("cluster.join", "Addresses (cluster.advertise) of other nodes; a DNS name stands for all its addresses, _quis._tcp.example.com for an SRV record.",
		func(c *Config) *[]string { return &c.Cluster.Join }),
	{Key: "cluster.join_token", Secret: true,
		Doc: "Join token by which this node joins; ignored once it belongs to a cluster. Rather use cluster.join_token_file.",
		set: func(c *Config, v []string) error {
			t, err := form.ParseToken(v[0])
			if err != nil {
				return err
			}
			c.Cluster.JoinToken = &t
			return nil
		},
		get: func(*Config) string { return "" }},
	text("cluster.join_token_file", "File with the join token; not looked at once the node belongs to a cluster.",
		func(c *Config) *string { return &c.Cluster.JoinTokenFile }),
	duration("cluster.heartbeat", "How long a follower waits for its leader before it stands for election.",
		func(c *Config) *time.Duration { return &c.Cluster.Heartbeat }),
	duration("cluster.compare_every", "How often the states of all members are compared; longer where hashing them takes long.",
		func(c *Config) *time.Duration { return &c.Cluster.CompareEvery }),
	number("disk.warn_below", "MiB free below which another node should lead; 0: a tenth of the disk, at most 1024.",
		func(c *Config) *int { return &c.Disk.WarnBelow }),
	number("disk.refuse_below", "MiB free below which nothing is written any more; 0: a fortieth of the disk, at most 256.",
		func(c *Config) *int { return &c.Disk.RefuseBelow }),
	text("breach_file", "Set of breached passwords, made by quis breach build, in which new passwords are looked up.",
		func(c *Config) *string { return &c.BreachFile }),
	text("breach_url", "Service that is asked about new passwords besides, by the first 20 bits of their SHA-1: https://api.pwnedpasswords.com/range/ or a mirror; empty: none is.",
		func(c *Config) *string { return &c.BreachURL }),
	text("bootstrap_file", "YAML file of users, groups, applications and tokens to bring about at start.",
		func(c *Config) *string { return &c.BootstrapFile }),
	{Key: "log.level", Doc: "debug, info, warn or error.",
		set: func(c *Config, v []string) error {
			if err := c.Log.Level.UnmarshalText([]byte(v[0])); err != nil {
				return fmt.Errorf("%q is none of debug, info, warn, error", v[0])
			}
			return nil
		},
		get: func(c *Config) string { return strings.ToLower(c.Log.Level.String()) }},
	text("log.format", "text, json, or auto: text on a terminal, JSON otherwise.",
		func(c *Config) *string { return &c.Log.Format }),
	duration("staleness", "How old this node's state may be when it answers yes without asking the leader.",
		func(c *Config) *time.Duration { return &c.Staleness }),
	duration("drain", "How long a stopping node reports not ready before it closes its listeners.",
		func(c *Config) *time.Duration { return &c.Drain }),
	flag("dev", "Development mode: loopback addresses only; registers the demo application.",
		func(c *Config) *bool { return &c.Dev }),
}

func text(key, doc string, at func(*Config) *string) Setting {
	return Setting{Key: key, Doc: doc,
		set: func(c *Config, v []string) error { *at(c) = v[0]; return nil },
		get: func(c *Config) string { return *at(c) }}
}

func list(key, doc string, at func(*Config) *[]string) Setting {
	return Setting{Key: key, Doc: doc, List: true,
		set: func(c *Config, v []string) error { *at(c) = v; return nil },
		get: func(c *Config) string { return strings.Join(*at(c), ",") }}
}

func flag(key, doc string, at func(*Config) *bool) Setting {
	return Setting{Key: key, Doc: doc,
		set: func(c *Config, v []string) (err error) {
			if *at(c), err = strconv.ParseBool(v[0]); err != nil {
				return fmt.Errorf("%q is neither true nor false", v[0])
			}
			return nil
		},
		get: func(c *Config) string { return strconv.FormatBool(*at(c)) }}
}

func number(key, doc string, at func(*Config) *int) Setting {
	return Setting{Key: key, Doc: doc,
		set: func(c *Config, v []string) error {
			n, err := strconv.Atoi(v[0])
			if err != nil {
				return fmt.Errorf("%q is not a whole number", v[0])
			}
			*at(c) = n
			return nil
		},
		get: func(c *Config) string { return strconv.Itoa(*at(c)) }}
}

func duration(key, doc string, at func(*Config) *time.Duration) Setting {
	return Setting{Key: key, Doc: doc,
		set: func(c *Config, v []string) error {
			d, err := time.ParseDuration(v[0])
			if err != nil {
				return fmt.Errorf("%q is not a duration such as 500ms or 2s", v[0])
			}
			*at(c) = d
			return nil
		},
		get: func(c *Config) string { return at(c).String() }}
}

// fileKeys are what may stand in the file.
func fileKeys() []document.Key {
	var all []document.Key
	for _, s := range settings {
		all = append(all, document.Key{Name: s.Key, List: s.List})
	}
	return all
}

func (c *Config) set(key string, values []string) error {
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Key == key })
	return settings[i].set(c, values)
}

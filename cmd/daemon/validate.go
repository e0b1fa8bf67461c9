package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/cluster/form"
)

var nodeIDs = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// Validate reports everything that is wrong with c, one line per mistake: which
// key, what is wrong, what to write.
func (c *Config) Validate() error {
	var errs []error
	fail := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if !nodeIDs.MatchString(c.NodeID) {
		fail("node_id", "%q is not a name of lower-case letters, digits, dots and dashes (at most 63)", c.NodeID)
	}
	if c.DataDir == "" {
		fail("data_dir", "is empty: name the directory that shall hold the store")
	}
	if problem := checkPublicURL(c.PublicURL, c.Dev); problem != "" {
		fail("public_url", "%s", problem)
	}
	c.validateAddresses(fail)
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		fail("tls", "cert_file and key_file belong together; one is missing")
	}
	if c.TLS.ClientHeader != "" && len(c.TrustedProxies) == 0 {
		fail("tls.client_header", "is believed of trusted_proxies only, and there are none")
	}
	if c.TLS.ClientCertificates && c.TLS.CertFile == "" {
		fail("tls.client_certificates", "needs tls.cert_file: without TLS nobody sends a certificate")
	}
	c.validateCertificates(fail)
	for _, p := range c.TrustedProxies {
		if _, err := ParsePrefix(p); err != nil {
			fail("trusted_proxies", "%q is neither an address nor a prefix such as 10.0.0.0/8", p)
		}
	}
	for _, p := range c.Outbound.Allow {
		if _, err := ParsePrefix(p); err != nil {
			fail("outbound.allow", "%q is neither an address nor a prefix such as 10.1.0.0/16", p)
		}
	}
	for _, p := range c.Outbound.Ports {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			fail("outbound.ports", "%q is not a port from 1 to 65535", p)
		}
	}
	if c.RootKey == nil && c.RootKeyFile == "" {
		fail("root_key_file", "no root key: name the file that holds it (`quis init` makes one)")
	}
	if n := c.Cluster.BootstrapExpect; n < 0 || n > 9 {
		fail("cluster.bootstrap_expect", "%d is out of range: 1 for a single node, 3 or 5 for a cluster, 0 to only join one", n)
	} else if n != 1 && len(c.Cluster.Join) == 0 {
		fail("cluster.join", "is empty, but bootstrap_expect is %d: name the other nodes", n)
	}
	if h := c.Cluster.Heartbeat; h < 50*time.Millisecond || h > 10*time.Second {
		fail("cluster.heartbeat", "%s is out of range 50ms to 10s", h)
	}
	if s := c.Staleness; s < 100*time.Millisecond || s > time.Minute {
		fail("staleness", "%s is out of range 100ms to 1m", s)
	}
	if c.Drain < 0 || c.Drain > 15*time.Second {
		fail("drain", "%s is out of range 0s to 15s", c.Drain)
	}
	switch c.Log.Format {
	case "auto", "text", "json":
	default:
		fail("log.format", "%q is none of auto, text, json", c.Log.Format)
	}
	return errors.Join(errs...)
}

// validateCertificates looks at where people's certificates are to arrive.
func (c *Config) validateCertificates(fail func(key, format string, args ...any)) {
	own, at := c.Listen.Certificates != "", c.TLS.CertificateURL
	switch problem := checkPublicURL(at, c.Dev); {
	case own && c.TLS.CertFile == "":
		fail("listen.certificates", "needs tls.cert_file: without TLS nobody sends a certificate")
	case problem != "" && (own || at != ""):
		fail("tls.certificate_url", "%s", problem)
	case at != "" && !own && !c.TLS.ClientCertificates && c.TLS.ClientHeader == "":
		fail("tls.certificate_url", "nothing could receive a certificate there: set listen.certificates, or tls.client_header for a proxy that does")
	}
}

func (c *Config) validateAddresses(fail func(key, format string, args ...any)) {
	type address struct {
		key, value string
		optional   bool
	}
	addresses := []address{
		{"listen.public", c.Listen.Public, false},
		{"listen.operations", c.Listen.Operations, false},
		{"cluster.listen", c.Cluster.Listen, false},
		{"cluster.advertise", c.Cluster.Advertise, true},
		{"cluster.gossip", c.Cluster.Gossip, false},
		{"cluster.gossip_advertise", c.Cluster.GossipAdvertise, true},
	}
	if c.Listen.Certificates != "" {
		addresses = append(addresses, address{"listen.certificates", c.Listen.Certificates, false})
	}
	for _, a := range addresses {
		if a.value == "" && a.optional {
			continue
		}
		host, port, err := net.SplitHostPort(a.value)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
			fail(a.key, "%q is not an address such as 10.0.0.1:8300 or :8300", a.value)
			continue
		}
		if c.Dev && !loopback(host) {
			fail(a.key, "%q is not a loopback address, and development mode serves nobody else", a.value)
		}
		if a.optional && (host == "" || host == "0.0.0.0" || host == "::") {
			fail(a.key, "%q names no host that other nodes could reach", a.value)
		}
	}
	for _, j := range c.Cluster.Join {
		if err := form.CheckPeer(j); err != nil {
			fail("cluster.join", "%s", err)
		}
	}
	if c.Cluster.JoinToken != nil && c.Cluster.JoinTokenFile != "" {
		fail("cluster.join_token", "is given twice, as a file and as text: keep one")
	}
	if (c.Cluster.JoinToken != nil || c.Cluster.JoinTokenFile != "") && len(c.Cluster.Join) == 0 {
		fail("cluster.join", "is empty, but there is a join token: name a node of the cluster that made it")
	}
}

// checkPublicURL returns what is wrong with the issuer's origin, or "". Plain
// HTTP is for this machine only: the session cookie would travel in the clear.
func checkPublicURL(s string, dev bool) string {
	if s == "" {
		return "is empty: write the origin that browsers use, such as https://id.example.com"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return fmt.Sprintf("%q is not an origin such as https://id.example.com", s)
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(s, "?") || strings.HasSuffix(s, "#"):
		return fmt.Sprintf("%q must be scheme, host and port only, without a slash at the end", s)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Sprintf("%q must be https (plain http is for localhost only)", s)
	case dev && !loopback(u.Hostname()):
		return fmt.Sprintf("%q is not on this machine, and development mode serves nobody else", s)
	}
	return ""
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// ParsePrefix reads an address or a CIDR prefix.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

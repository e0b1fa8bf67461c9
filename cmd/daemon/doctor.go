package daemon

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/quis-idp/quis/api/admin/authentication"
	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/keys/seal"
)

// examine is what a running node finds on its own machine. The looks are independent of
// each other and run at once, but for the disk's, which would disturb each other.
func (n *Node) examine(ctx context.Context) []checkup.Finding {
	var issuer checkup.Finding
	var all sync.WaitGroup
	all.Go(func() { issuer = lookAtIssuer(ctx, n.cfg.PublicURL) })
	out := append(lookAtDisk(ctx, n.cfg.DataDir), lookAtRootKey(&n.cfg), checkup.Files())
	if n.cert != nil {
		out = append(out, lookAtCertificate(n.cert.Expires(), time.Now()))
	}
	all.Wait()
	return append(out, issuer, authentication.Finding(ctx, n.db, n.passwordChecks))
}

// Examine finds what can be found of a node that does not run: its files, its ports, the
// names in its configuration, which must be valid. It leaves nothing behind.
func Examine(ctx context.Context, cfg Config) []checkup.Finding {
	var out []checkup.Finding
	if _, err := os.Stat(cfg.DataDir); errors.Is(err, os.ErrNotExist) {
		out = append(out, checkup.Finding{Check: "data directory", Found: cfg.DataDir + " is not there yet: the first start makes it"})
	} else {
		out = append(out, lookAtDisk(ctx, cfg.DataDir)...)
	}
	out = append(out, lookAtRootKey(&cfg), checkup.Files())
	if cfg.TLS.CertFile != "" {
		out = append(out, lookAtPair(cfg.TLS))
	}
	out = append(out, lookAtPorts(&cfg)...)
	return append(out, lookAtPeers(ctx, &cfg)...)
}

func lookAtDisk(ctx context.Context, dir string) []checkup.Finding {
	return []checkup.Finding{checkup.Private(dir), checkup.Space(dir), checkup.Sync(ctx, dir)}
}

func lookAtRootKey(cfg *Config) checkup.Finding {
	f := checkup.Finding{Check: "root key"}
	if cfg.RootKey != nil {
		f.Found = "is in the environment, not in a file"
		return f
	}
	var keys *seal.RootKey
	info, err := os.Stat(cfg.RootKeyFile)
	if err == nil {
		keys, err = seal.LoadRootKey(cfg.RootKeyFile, "")
	}
	if err != nil {
		f.Level, f.Found = checkup.Fail, readError(err).Error()
		f.Advice = "Put the key of the cluster there, readable by the node's user only. Without it the node does not start again."
		return f
	}
	f.Found = fmt.Sprintf("%s has mode %04o", cfg.RootKeyFile, info.Mode().Perm())
	if ids := keys.IDs(); len(ids) > 1 {
		f.Level, f.Found = checkup.Warn, fmt.Sprintf("%s holds %d root keys (%s): it is being replaced", cfg.RootKeyFile, len(ids), strings.Join(ids, ", "))
		f.Advice = "See quis root-key show for what comes next; until the former key is dropped it opens everything."
	}
	return f
}

func lookAtCertificate(ends, now time.Time) checkup.Finding {
	return checkup.Expiry("public certificate", "it", ends, now, checkup.Soon,
		"Put the new pair in its place (tls.cert_file, tls.key_file): it is read without a restart.")
}

func lookAtPair(files TLS) checkup.Finding {
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return checkup.Finding{Check: "public certificate", Level: checkup.Fail, Found: readError(err).Error(), Advice: "Look at tls.cert_file and tls.key_file."}
	}
	return lookAtCertificate(pair.Leaf.NotAfter, time.Now())
}

// lookAtPorts binds every port for a moment.
func lookAtPorts(cfg *Config) []checkup.Finding {
	var out []checkup.Finding
	for _, p := range []struct{ key, network, address string }{
		{"listen.public", "tcp", cfg.Listen.Public}, {"listen.operations", "tcp", cfg.Listen.Operations},
		{"cluster.listen", "tcp", cfg.Cluster.Listen}, {"cluster.gossip", "tcp", cfg.Cluster.Gossip}, {"cluster.gossip", "udp", cfg.Cluster.Gossip},
	} {
		if err := bindable(p.network, p.address); err != nil {
			out = append(out, checkup.Finding{Check: "ports", Level: checkup.Fail, Found: explainListen(p.key, p.address+"/"+p.network, err).Error()})
		}
	}
	if len(out) == 0 {
		out = append(out, checkup.Finding{Check: "ports", Found: "all are free"})
	}
	return out
}

func bindable(network, address string) error {
	if network == "udp" {
		c, err := net.ListenPacket(network, address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	return l.Close()
}

// lookAtPeers resolves the names of the other nodes and knocks at their doors.
func lookAtPeers(ctx context.Context, cfg *Config) []checkup.Finding {
	found := make([]checkup.Finding, len(cfg.Cluster.Join))
	var all sync.WaitGroup
	for i, entry := range cfg.Cluster.Join {
		all.Go(func() { found[i] = lookAtPeer(ctx, entry) })
	}
	all.Wait()
	return found
}

func lookAtPeer(ctx context.Context, entry string) checkup.Finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	f := checkup.Finding{Check: "other nodes"}
	addresses, err := form.Resolver{}.Look(ctx, entry)
	if err != nil {
		f.Level, f.Found = checkup.Fail, entry+": "+err.Error()
		f.Advice = "Look at cluster.join and at the DNS of this machine."
		return f
	}
	for _, a := range addresses {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", a)
		if err == nil {
			c.Close()
			f.Found = entry + " answers"
			return f
		}
		f.Found = entry + ": " + checkup.Reason(err)
	}
	f.Level = checkup.Warn
	f.Advice = "Fine while that node is down. Else look at its cluster.listen and at firewalls."
	return f
}

// Bounds of the look at the issuer, which passes whatever stands before the nodes.
const (
	issuerWithin = 5 * time.Second
	maxDiscovery = 64 << 10
)

// lookAtIssuer asks for the discovery document as an application does, at the origin that the
// operator configured.
func lookAtIssuer(ctx context.Context, publicURL string) checkup.Finding {
	f := checkup.Finding{Check: "issuer", Same: publicURL}
	claimed, err := fetchIssuer(ctx, publicURL)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		f.Level, f.Found = checkup.Fail, publicURL+": its certificate does not hold: "+untrusted.Err.Error()
		f.Advice = "Applications refuse it, too, unless they trust its issuer: replace the certificate, or let this machine trust its authority."
	case err != nil:
		f.Level, f.Found = checkup.Warn, publicURL+" was not reached from here: "+checkup.Reason(err)
		f.Advice = "If people reach it, your network just does not lead nodes to their own address. Else look at DNS and at the proxy."
	case claimed != publicURL:
		f.Level, f.Found = checkup.Fail, fmt.Sprintf("%s calls itself %.200q", publicURL, claimed)
		f.Advice = "Applications refuse its tokens: make public_url the same on every node, and lead that address to these nodes."
	default:
		f.Found = publicURL + " answers and is who it should be"
	}
	return f
}

func fetchIssuer(ctx context.Context, publicURL string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, issuerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, publicURL+"/.well-known/openid-configuration", nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s", resp.Status)
	}
	var doc struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDiscovery)).Decode(&doc); err != nil {
		return "", fmt.Errorf("what answers there is no identity provider: %w", err)
	}
	return doc.Issuer, nil
}

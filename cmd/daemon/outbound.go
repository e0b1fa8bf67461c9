package daemon

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	alarmpage "github.com/quis-idp/quis/api/alarm"
	"github.com/quis-idp/quis/api/inbox"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/alarm"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/pending"
)

// newOutbound returns what sends requests to the URLs of applications.
func (n *Node) newOutbound() (*fetch.Client, error) {
	cfg := fetch.Config{Ports: []uint16{443}, Loopback: n.cfg.Dev, Registerer: n.metrics.Registry}
	for _, p := range n.cfg.Outbound.Ports {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("outbound.ports: %q is not a port", p)
		}
		cfg.Ports = append(cfg.Ports, uint16(port))
	}
	var err error
	if cfg.Allow, err = parsePrefixes(n.cfg.Outbound.Allow); err != nil {
		return nil, fmt.Errorf("outbound.allow: %w", err)
	}
	if cfg.RootCAs, err = n.outboundTrust(); err != nil {
		return nil, err
	}
	return fetch.New(cfg), nil
}

// outboundTrust is nil for the system's certificate authorities alone.
func (n *Node) outboundTrust() (*x509.CertPool, error) {
	file := n.cfg.Outbound.CAFile
	if file == "" {
		return nil, nil
	}
	pool, err := trust(file)
	if err != nil {
		return nil, fmt.Errorf("outbound.ca_file: %w", err)
	}
	return pool, nil
}

// newMail returns what sends mail. Its servers are chosen by administrators of tenants, who
// are not the operators of this machine: the rules for addresses hold for them as well.
func (n *Node) newMail() (*notify.Room, error) {
	roots, err := n.outboundTrust()
	if err != nil {
		return nil, err
	}
	cfg := notify.Config{
		DB: n.db, Ring: n.ring, Tenant: n.tenant, Logger: n.log, Registerer: n.metrics.Registry,
		Carrier: &post.Carrier{Dial: n.outbound.Dial(25, 465, 587, 2525), Roots: roots},
	}
	cfg.Alarm, cfg.Invitation, cfg.Warn = n.alarmLink, n.invited, func(tenant, userID, event string) { n.push.Warn(tenant, userID, event) } // there is one by then
	if n.cfg.Dev {
		n.inbox = inbox.Open(filepath.Join(filepath.Dir(n.cfg.DataDir), "mail")) // beside those of the other nodes
		cfg.Inbox = n.inbox.Put
	}
	return notify.New(cfg), nil
}

// newPush returns what tells browsers. Their push services are what their scripts name, and so
// public ones.
func (n *Node) newPush() *push.Room {
	n.browsers = n.outbound.Public()
	return push.New(push.Config{
		DB: n.db, Ring: n.ring, Contact: n.cfg.PublicURL, Post: n.browsers.Push, Lifetime: approval.Lifetime, Logger: n.log, Registerer: n.metrics.Registry,
		Modern: func(ctx context.Context) error { return n.cluster.Use(ctx, feature.PushKeys) },
	})
}

// alarmLink is "this wasn't me", for something that a user is told of.
func (n *Node) alarmLink(t identity.Tenant, userID, eventID string) (string, error) {
	token, err := alarm.Token(n.ring, n.db.Now(), t.ID, userID, eventID)
	return alarmpage.Link(t, token), err
}

// invited is what an invitation is mailed with.
func (n *Node) invited(tx *fsm.Tx, t identity.Tenant, id string) (notify.Invited, error) {
	i, err := pending.GetInvitation(tx, t.ID, id)
	if err != nil {
		return notify.Invited{}, err
	}
	secret, err := i.Secret(n.ring)
	return notify.Invited{Name: i.Name, Locale: i.Locale, Link: t.Issuer + pending.InvitationPath + secret, Until: i.Expires}, err
}

// trust returns the system's certificate authorities and those in file.
func trust(file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a container without any
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

// authorities reads certificates that alone are trusted; nil without a file.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

func parsePrefixes(all []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, s := range all {
		p, err := ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}

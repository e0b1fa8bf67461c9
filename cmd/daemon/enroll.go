package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

// loadRoot reads the root key. A node that is about to join by a token may have none yet.
func (n *Node) loadRoot() (err error) {
	if n.root = n.cfg.RootKey; n.root != nil {
		return nil
	}
	n.root, err = seal.LoadRootKey(n.cfg.RootKeyFile, "")
	if errors.Is(err, fs.ErrNotExist) {
		enrolled, look := cluster.Enrolled(n.cfg.DataDir)
		if look == nil && !enrolled && n.hasToken() {
			return nil
		}
	}
	if err != nil {
		return explainRootKey(err)
	}
	return nil
}

func (n *Node) hasToken() bool {
	return n.cfg.Cluster.JoinToken != nil || n.cfg.Cluster.JoinTokenFile != ""
}

// joinByToken has a node that belongs to no cluster taken in by its token. On any other
// the token is not even read.
func (n *Node) joinByToken(ctx context.Context) error {
	enrolled, err := cluster.Enrolled(n.cfg.DataDir)
	if err != nil || enrolled || !n.hasToken() {
		return err
	}
	token := n.cfg.Cluster.JoinToken
	if token == nil {
		text, err := os.ReadFile(n.cfg.Cluster.JoinTokenFile)
		if err != nil {
			return fmt.Errorf("cluster.join_token_file: %w", readError(err))
		}
		t, err := form.ParseToken(string(text))
		if err != nil {
			return fmt.Errorf("cluster.join_token_file: %s: %w", n.cfg.Cluster.JoinTokenFile, err)
		}
		token = &t
	}
	c := n.cfg.Cluster
	n.root, err = cluster.Join(ctx, cluster.JoinConfig{
		DataDir: n.cfg.DataDir, NodeID: n.cfg.NodeID, Listen: c.Listen, Advertise: c.Advertise, Join: c.Join,
		Token: *token, Root: n.root, Logger: n.log,
		SaveRoot: func(k *seal.RootKey) error { return seal.SaveRootKey(n.cfg.RootKeyFile, k) },
	})
	if err != nil {
		return n.explainCluster(err)
	}
	return nil
}

// macOfBootstrap comes when the root key is there.
func (n *Node) macOfBootstrap(context.Context) (err error) {
	if n.cfg.BootstrapFile != "" {
		n.bootstrapMACs, err = n.macsOf(n.cfg.BootstrapFile)
	}
	return err
}

// tellOfAdmission writes the event of what happened to a join token or to the authority
// into its transaction. What a leader does by itself, the system did.
func tellOfAdmission(tx *fsm.Tx, news form.News) error {
	kind := "join_token"
	if news.Kind == form.RotationStarted || news.Kind == form.AuthorityRotated {
		kind = "cluster_ca"
	}
	return event.Append(tx, event.Event{
		Tenant: identity.DefaultTenant, Type: event.Type(news.Kind), Target: event.Target{Kind: kind, ID: news.Target}, Data: news.Data,
	})
}

package form

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/keys/seal"
)

// requestFile holds the key and the request of a node that is about to join by a token: a
// process that dies before the answer comes must be able to ask for it again.
const requestFile = "join.pem"

// An Application is a new node's wish to be taken in by a join token.
type Application struct {
	NodeID   string
	Address  string   // by which the members reach this node's cluster port
	Reads    []string // features; see cluster/feature
	DataDir  string
	Join     []string // entries of cluster.join
	Token    Token
	Root     *seal.RootKey // nil: the cluster hands it over
	Resolver Resolver
	Logger   *slog.Logger

	// SaveRoot keeps the root key that was handed over. It comes before anything else is
	// written that needs the key.
	SaveRoot func(*seal.RootKey) error
}

// Enrolled says whether the data directory belongs to a node of a cluster already, so that
// a token is of no use there.
func Enrolled(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, disk.IdentityFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Obtain gets a new node its identity by a join token and writes it down, and returns the
// root key. It asks the peers again and again as long as ctx lasts, but not when the token
// is refused. Nothing but its ID is told to a node that has not proved to be of the
// cluster that the token names.
func Obtain(ctx context.Context, a Application) (*seal.RootKey, error) {
	if a.Root == nil && !a.Token.RootKey {
		return nil, fmt.Errorf("%s was made without the root key: copy the root key file of the cluster here and name it in root_key_file, or make a token with it", a.Token)
	}
	if len(a.Join) == 0 {
		return nil, errors.New("there is a join token, but nobody to give it to: set cluster.join to the address of a node of the cluster")
	}
	key, request, err := a.request()
	if err != nil {
		return nil, err
	}
	pause, said := 50*time.Millisecond, ""
	for {
		answer, err := a.try(ctx, request)
		if err == nil {
			return a.accept(answer, key)
		}
		if !errors.Is(err, errWait) {
			return nil, fmt.Errorf("join the cluster: %w", err)
		}
		if now := err.Error(); now != said && ctx.Err() == nil {
			a.Logger.Info("not in a cluster yet", "state", now)
			said, pause = now, 50*time.Millisecond
		}
		select {
		case <-time.After(pause):
			pause = min(pause*2, 2*time.Second)
		case <-ctx.Done():
			return nil, fmt.Errorf("join the cluster: %s: %w", said, ctx.Err())
		}
	}
}

// request returns the node's key and the request for its certificate, those of an earlier
// try if there was one.
func (a *Application) request() (*ecdsa.PrivateKey, []byte, error) {
	path := filepath.Join(a.DataDir, requestFile)
	if raw, err := os.ReadFile(path); err == nil {
		first, rest := pem.Decode(raw)
		second, _ := pem.Decode(rest)
		if first != nil && second != nil {
			if key, err := x509.ParseECPrivateKey(first.Bytes); err == nil {
				return key, second.Bytes, nil
			}
		}
	} // a damaged file is replaced: at worst the token has been used up
	key, request, err := wire.NewKey()
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("keep the key of this node: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})...)
	if err := replaceFile(path, text); err != nil {
		return nil, nil, fmt.Errorf("keep the key of this node: %w", err)
	}
	return key, request, nil
}

// try asks every peer once.
func (a *Application) try(ctx context.Context, request []byte) (*EnterAnswer, error) {
	addresses, faults := a.Resolver.expand(ctx, slices.DeleteFunc(slices.Clone(a.Join), func(j string) bool { return j == a.Address }))
	var away []string
	for _, f := range faults {
		away = append(away, f.Error())
	}
	for _, at := range addresses {
		answer, err := a.through(ctx, at, request)
		if err == nil {
			return answer, nil
		}
		if final(err) {
			return nil, a.explain(at, err)
		}
		away = append(away, at+": "+err.Error())
	}
	return nil, fmt.Errorf("%w: no node of cluster.join has taken this node in (%s)", errWait, strings.Join(away, "; "))
}

// through asks the node at address, and then the leader that it names.
func (a *Application) through(ctx context.Context, address string, request []byte) (*EnterAnswer, error) {
	pass := wire.Pass{ClusterID: a.Token.ClusterID, Pin: a.Token.Pin, ID: a.Token.ID(), Key: a.Token.verifier()}
	q := EnterRequest{NodeID: a.NodeID, Address: a.Address, Request: request, Secret: a.Token.secret[:], Reads: a.Reads}
	if a.Root != nil {
		q.Roots = a.Root.IDs()
	}
	for range 3 { // leaders may change while we ask
		answer := &EnterAnswer{}
		if err := enterBy(ctx, address, pass, &q, answer); err != nil {
			return nil, err
		}
		if len(answer.Cert) > 0 {
			return answer, nil
		}
		address = answer.Leader
	}
	return nil, errors.New("the leader changes")
}

func enterBy(ctx context.Context, address string, pass wire.Pass, q *EnterRequest, a *EnterAnswer) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	c, err := wire.DialToken(ctx, address, pass)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Call(ctx, MethodEnter, q, a)
}

// final says whether asking again is in vain.
func final(err error) bool {
	var fault *wire.Fault
	return errors.As(err, &fault) && fault.Code == CodeRefused || errors.Is(err, wire.ErrPin) || errors.Is(err, wire.ErrTokenUnknown)
}

// explain says what to do about a refusal.
func (a *Application) explain(address string, err error) error {
	switch {
	case errors.Is(err, wire.ErrPin):
		return fmt.Errorf("%s: %w: %s is for cluster %s, whose authority it pins. Either cluster.join names a node of another cluster, or the authority was rotated "+
			"since the token was made (then %s), or somebody between here and there answers in its place. Nothing was told to it", address, err, a.Token, a.Token.ClusterID, another)
	case errors.Is(err, wire.ErrTokenUnknown):
		return fmt.Errorf("%s: %w: it was revoked or expired more than a day ago, or the cluster was restored from an older backup: %s", address, err, another)
	}
	return fmt.Errorf("%s: %w", address, err)
}

// accept checks what the leader gave and writes it down: first the root key, then who this node is.
func (a *Application) accept(answer *EnterAnswer, key *ecdsa.PrivateKey) (*seal.RootKey, error) {
	if answer.Authority.ClusterID != a.Token.ClusterID {
		return nil, fmt.Errorf("join the cluster: taken in by cluster %s, but %s is for cluster %s", answer.Authority.ClusterID, a.Token, a.Token.ClusterID)
	}
	root := a.Root
	if root == nil {
		var err error
		if root, err = seal.ParseRootKey(string(answer.RootKey) + "\n" + string(answer.Others)); err != nil {
			return nil, fmt.Errorf("join the cluster: the root key that was handed over: %w", err)
		}
	}
	if _, err := answer.Authority.unwrap(root); err != nil {
		return nil, fmt.Errorf("join the cluster: this node was given root key %s, the cluster has another: give it the right one, or none if the token brings it: %w", root.ID(), errors.Join(seal.ErrSealed, err))
	}
	id, err := newIdentity(a.NodeID, &answer.Authority, answer.Cert, key)
	if err == nil {
		err = id.verify()
	}
	if err != nil {
		return nil, fmt.Errorf("join the cluster: %w", err)
	}
	if a.Root == nil {
		if err := a.SaveRoot(root); err != nil {
			return nil, fmt.Errorf("join the cluster: %w", err)
		}
	}
	if err := id.Save(a.DataDir, root); err != nil {
		return nil, err
	}
	a.Logger.Info("taken into the cluster", "cluster", id.ClusterID, "by", a.Token)
	if err := os.Remove(filepath.Join(a.DataDir, requestFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("join the cluster: %w", err)
	}
	return root, nil
}

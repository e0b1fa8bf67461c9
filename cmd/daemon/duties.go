package daemon

import (
	"context"
	"time"

	"github.com/quis-idp/quis/cluster/duty"
	"github.com/quis-idp/quis/cmd/daemon/restored"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// sealingKeyLife is how long a sealing key is the newest one.
const sealingKeyLife = 30 * 24 * time.Hour

// duties are what the leader does from time to time: one line for each room that
// wants something done.
func (n *Node) duties() []duty.Job {
	return []duty.Job{
		{Name: "expiry", Every: 10 * time.Second, Run: n.purge},
		{Name: "signing_keys", Every: 15 * time.Second, Run: func(ctx context.Context) error { return n.keys.Rotate(asSystem(ctx), n.cluster.MinApplied) }},
		{Name: "sealing_key", Every: time.Hour, Run: func(ctx context.Context) error { return n.ring.RotateOlder(asSystem(ctx), sealingKeyLife) }},
		{Name: "after_restore", Every: 200 * time.Millisecond, Run: func(ctx context.Context) error { return restored.Settle(asSystem(ctx), n.db, n.keys) }},
		{Name: "root_key", Every: 5 * time.Second, Run: func(ctx context.Context) error { return n.rootKeys.Run(asSystem(ctx)) }},
		{Name: "backup", Every: 15 * time.Second, Run: func(ctx context.Context) error { return n.backups.RunDue(asSystem(ctx)) }},
		{Name: "logout_reader", Every: time.Second, Run: func(ctx context.Context) error { return n.logout.Read(asSystem(ctx)) }},
		{Name: "logout_sender", Every: time.Second, Run: func(ctx context.Context) error { return n.logout.Send(asSystem(ctx)) }},
		{Name: "mail_reader", Every: time.Second, Run: func(ctx context.Context) error { return n.mail.Read(asSystem(ctx)) }},
		{Name: "mail_sender", Every: time.Second, Run: func(ctx context.Context) error { return n.mail.Deliver(asSystem(ctx)) }},
		{Name: "ciba_pings", Every: time.Second, Run: func(ctx context.Context) error { return n.pinger().Run(asSystem(ctx)) }},
		{Name: "unused_applications", Every: time.Hour, Run: func(ctx context.Context) error { return register.Sweep(asSystem(ctx), n.db) }},
		{Name: "directory_remains", Every: 5 * time.Minute, Run: func(ctx context.Context) error { return directory.Tidy(asSystem(ctx), n.db, n.cluster.Announced) }},
	}
}

func (n *Node) pinger() *ciba.Pinger {
	return &ciba.Pinger{DB: n.db, Ring: n.ring, Post: n.outbound.Post, Logger: n.log}
}

// purge deletes what has expired, a thousand rows at a time.
func (n *Node) purge(ctx context.Context) error {
	for {
		found, err := n.db.Purge(asSystem(ctx))
		if err != nil || found < 1000 {
			return err
		}
	}
}

func asSystem(ctx context.Context) context.Context {
	return identity.WithActor(ctx, identity.Actor{Kind: identity.ActorSystem})
}

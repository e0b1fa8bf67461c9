package client

import (
	"context"
	"net/url"
	"time"
)

// A Factor is a way in which a user proves who they are, besides the password.
type Factor struct {
	ID         string     `json:"id"`
	Type       string     `json:"type"` // totp, recovery_codes, passkey, approver …
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // nil: not yet
	Left       *int       `json:"left"`         // of recovery codes: how many are unused
	Passkey    *Passkey   `json:"passkey"`      // of passkeys: what kind it is
}

// A Passkey is what kind of passkey a factor is.
type Passkey struct {
	AAGUID       string     `json:"aaguid"`
	Make         string     `json:"make"`
	Synced       bool       `json:"synced"`        // may be copied to other devices
	Attested     bool       `json:"attested"`      // its make was verified
	Hardware     bool       `json:"hardware"`      // and hardware protects its key
	SuspectSince *time.Time `json:"suspect_since"` // refused since, because there may be a copy of it; nil: it is not
	Refused      string     `json:"refused"`       // why it signs nobody in: copied, denied, unsafe or unproved; "": it does
}

// A TrustedDevice is a browser in which a user is not asked for a second factor.
type TrustedDevice struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // nil: not yet
	ExpiresAt  time.Time  `json:"expires_at"`
}

// Factors returns one page of a user's factors.
func (u Users) Factors(ctx context.Context, id string, l List) (*Page[Factor], error) {
	return list[Factor](ctx, u.c, join("users", id, "factors"), l.query())
}

// ResetFactor removes one factor of a user. It is refused, with 409, if the user would have nothing
// left to begin a sign-in with, unless it is forced.
func (u Users) ResetFactor(ctx context.Context, id, factor string, force bool) error {
	return u.c.removeWith(ctx, join("users", id, "factors", factor), forced(force))
}

// ResetFactors removes all factors of a user; the password stays. It is refused as ResetFactor is.
func (u Users) ResetFactors(ctx context.Context, id string, force bool) error {
	return u.c.removeWith(ctx, join("users", id, "factors"), forced(force))
}

func forced(force bool) request {
	if force {
		return request{query: url.Values{"force": {"true"}}}
	}
	return request{}
}

// Devices returns one page of the devices that a user is trusted in.
func (u Users) Devices(ctx context.Context, id string, l List) (*Page[TrustedDevice], error) {
	return list[TrustedDevice](ctx, u.c, join("users", id, "devices"), l.query())
}

// RevokeDevice ends the trust in one device of a user.
func (u Users) RevokeDevice(ctx context.Context, id, device string) error {
	return u.c.remove(ctx, join("users", id, "devices", device))
}

// RevokeDevices ends the trust in all devices of a user.
func (u Users) RevokeDevices(ctx context.Context, id string) error {
	return u.c.remove(ctx, join("users", id, "devices"))
}

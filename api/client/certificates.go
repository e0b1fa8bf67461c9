package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A RevocationList says which list of revoked certificates was uploaded.
type RevocationList struct {
	Number     string    `json:"number"`
	Revoked    int       `json:"revoked"` // certificates on it
	UpdatedAt  time.Time `json:"updated_at"`
	NextUpdate time.Time `json:"next_update_at"`
	UploadedAt time.Time `json:"uploaded_at"`
	Due        bool      `json:"due"` // a newer one should have been uploaded
}

// A UserCertificate is one that signs a user in.
type UserCertificate struct {
	ID          string     `json:"id"`
	AuthorityID string     `json:"authority_id"`
	By          string     `json:"by"` // what it is known by; empty: it was used by a rule
	Name        string     `json:"name"`
	Subject     string     `json:"subject"`
	SHA256      string     `json:"sha256"`
	ExpiresAt   time.Time  `json:"expires_at"`
	CreatedAt   time.Time  `json:"created_at"`
	LastUsedAt  *time.Time `json:"last_used_at"` // nil: not yet
}

// A NewUserCertificate is a certificate that is to be added to a user.
type NewUserCertificate struct {
	Certificate string `json:"certificate"`  // PEM
	By          string `json:"by,omitempty"` // fingerprint, issuer_serial or subject
	Name        string `json:"name,omitempty"`
}

// UploadRevocationList puts the list in r, DER or PEM, in the place of an authority's former one.
func (c *Client) UploadRevocationList(ctx context.Context, authority string, r io.Reader) (*RevocationList, error) {
	res, err := c.streamAs(ctx, http.MethodPut, join("certificate-authorities", authority, "revocation-list"), request{}, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var l RevocationList
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&l); err != nil {
		return nil, fmt.Errorf("upload revocation list: read answer: %w", err)
	}
	return &l, nil
}

// DeleteRevocationList forgets the list that was uploaded for an authority.
func (c *Client) DeleteRevocationList(ctx context.Context, authority string) error {
	return c.remove(ctx, join("certificate-authorities", authority, "revocation-list"))
}

// Certificates returns one page of a user's certificates.
func (u Users) Certificates(ctx context.Context, id string, l List) (*Page[UserCertificate], error) {
	return list[UserCertificate](ctx, u.c, join("users", id, "certificates"), l.query())
}

// AddCertificate adds a certificate to a user.
func (u Users) AddCertificate(ctx context.Context, id string, n NewUserCertificate) (*UserCertificate, error) {
	return fetch[UserCertificate](ctx, u.c, http.MethodPost, join("users", id, "certificates"), request{body: n}, nil)
}

// RemoveCertificate takes a certificate away from a user. The server refuses if nothing would be left
// to begin a sign-in with, unless it is forced.
func (u Users) RemoveCertificate(ctx context.Context, id, certificate string, force bool) error {
	return u.c.removeWith(ctx, join("users", id, "certificates", certificate), forced(force))
}

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// PasskeyMetadata says which FIDO metadata are in use, by which makes of passkeys are verified.
type PasskeyMetadata struct {
	Number       int       `json:"number"`
	NextUpdateAt time.Time `json:"next_update_at"`
	Due          bool      `json:"due"` // there are newer ones
	ImportedAt   time.Time `json:"imported_at"`
	Models       int       `json:"models"`
	Skipped      int       `json:"skipped"` // entries of other protocols, or unreadable
	SHA256       string    `json:"sha256"`
}

const passkeyMetadataPath = "/passkeys/metadata"

// PasskeyMetadata returns which FIDO metadata are in use, or a Problem with status 404.
func (c *Client) PasskeyMetadata(ctx context.Context) (*PasskeyMetadata, error) {
	return fetch[PasskeyMetadata](ctx, c, http.MethodGet, passkeyMetadataPath, request{house: true}, nil)
}

// ImportPasskeyMetadata puts the metadata BLOB in r, as FIDO publishes it, in the place of those in use.
func (c *Client) ImportPasskeyMetadata(ctx context.Context, r io.Reader) (*PasskeyMetadata, error) {
	res, err := c.streamAs(ctx, http.MethodPut, passkeyMetadataPath, request{house: true}, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var m PasskeyMetadata
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&m); err != nil {
		return nil, fmt.Errorf("import passkey metadata: read answer: %w", err)
	}
	return &m, nil
}

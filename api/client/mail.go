package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// MailSettings say with which server a tenant sends mail.
type MailSettings struct {
	State       string `json:"state,omitempty"` // none, inbox or set; only in answers
	Host        string `json:"host"`
	Port        int    `json:"port,omitempty"` // 0: 587
	TLS         string `json:"tls,omitempty"`  // mandatory, implicit, opportunistic or none
	Username    string `json:"username,omitempty"`
	Password    string `json:"password,omitempty"` // never in answers; empty: the one that is there stays
	HasPassword bool   `json:"has_password,omitempty"`
	From        string `json:"from"`
	FromName    string `json:"from_name,omitempty"`
	ReplyTo     string `json:"reply_to,omitempty"`

	ETag string `json:"-"`
}

const mailPath = "/settings/mail"

// MailSettings returns how the tenant sends mail.
func (c *Client) MailSettings(ctx context.Context) (*MailSettings, error) {
	return fetch(ctx, c, http.MethodGet, mailPath, request{}, mailTag)
}

// SetMailSettings replaces them; an ETag in s makes that conditional.
func (c *Client) SetMailSettings(ctx context.Context, s MailSettings) (*MailSettings, error) {
	s.State, s.HasPassword = "", false
	return fetch(ctx, c, http.MethodPut, mailPath, request{body: s, ifMatch: s.ETag}, mailTag)
}

func mailTag(s *MailSettings) *string { return &s.ETag }

// DeleteMailSettings has the tenant send no mail any more.
func (c *Client) DeleteMailSettings(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodDelete, mailPath, request{}, nil)
	return err
}

// TestMail has a test message sent now; the error says why it was not taken.
func (c *Client) TestMail(ctx context.Context, to string) error {
	_, err := c.call(ctx, http.MethodPost, mailPath+"/test", request{body: map[string]string{"to": to}}, nil)
	return err
}

// A MailPreview is a letter with made-up data.
type MailPreview struct {
	Language string `json:"language"`
	Subject  string `json:"subject"`
	Text     string `json:"text"`
	HTML     string `json:"html"`
}

// PreviewMail returns a letter with made-up data, in the tenant's language if locale is empty.
func (c *Client) PreviewMail(ctx context.Context, name, locale string) (*MailPreview, error) {
	in := request{}
	if locale != "" {
		in.query = url.Values{"locale": {locale}}
	}
	return fetch[MailPreview](ctx, c, http.MethodGet, "/mail/templates"+join(name)+"/preview", in, nil)
}

// A MailDelivery is one notice to one address.
type MailDelivery struct {
	ID          string     `json:"id"`
	UserID      string     `json:"user_id"`
	To          string     `json:"to"`
	Letter      string     `json:"letter"`
	EventID     string     `json:"event_id"`
	State       string     `json:"state"` // pending, done or failed
	Attempts    int        `json:"attempts"`
	Status      string     `json:"status,omitempty"`
	AttemptedAt *time.Time `json:"attempted_at,omitempty"`
	NextAt      *time.Time `json:"next_at,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
}

// MailDeliveries returns the latest notices in one state, or in any, newest first.
func (c *Client) MailDeliveries(ctx context.Context, state string) ([]MailDelivery, error) {
	q := url.Values{"limit": {"200"}}
	if state != "" {
		q.Set("state", state)
	}
	p, err := list[MailDelivery](ctx, c, "/mail/deliveries", q)
	if err != nil {
		return nil, err
	}
	return p.Data, nil
}

// RetryMailDelivery has a notice sent again, now.
func (c *Client) RetryMailDelivery(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodPost, "/mail/deliveries"+join(id, "retry"), request{}, nil)
	return err
}

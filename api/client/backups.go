package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A BackupInfo says what an archive is.
type BackupInfo struct {
	ID        string    `json:"id"`
	ClusterID string    `json:"cluster_id"`
	Created   time.Time `json:"created"`
	Index     uint64    `json:"index"`    // last log entry in it
	Term      uint64    `json:"term"`     // of that entry
	Version   string    `json:"version"`  // of the program that wrote it
	RootKey   string    `json:"root_key"` // fingerprint of the root key that its data needs
	Sealed    string    `json:"sealed"`   // root or age
	Size      int64     `json:"size"`     // of the data in it, in bytes
	Bytes     int64     `json:"bytes"`    // of the archive
	SHA256    string    `json:"sha256"`   // of the archive
	Rows      int64     `json:"rows"`
	Events    int64     `json:"events"`
	Features  []string  `json:"features,omitempty"` // in use in it: who restores it must read them
}

// ErrCutOff: the connection ended before all of an archive had come.
var ErrCutOff = errors.New("the server ended the backup before it was whole: its log says why")

// CreateBackup writes an archive of the whole cluster to w, sealed to the age public keys
// in recipients or, without any, under the root key. begun, which may be nil, is told what comes.
func (c *Client) CreateBackup(ctx context.Context, w io.Writer, recipients []string, begun func(BackupInfo)) (*BackupInfo, error) {
	in := request{house: true}
	if len(recipients) > 0 {
		in.query = url.Values{"recipients": {strings.Join(recipients, ",")}}
	}
	res, err := c.stream(ctx, "/cluster/backups", in, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var i BackupInfo
	if err := json.Unmarshal([]byte(res.Header.Get("Quis-Backup-Begun")), &i); err != nil {
		return nil, fmt.Errorf("create backup: read answer: %w", err)
	}
	if begun != nil {
		begun(i)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return nil, fmt.Errorf("create backup: %w", err)
	}
	done := res.Trailer.Get("Quis-Backup")
	if done == "" {
		return nil, ErrCutOff
	}
	if err := json.Unmarshal([]byte(done), &i); err != nil {
		return nil, fmt.Errorf("create backup: read answer: %w", err)
	}
	return &i, nil
}

// RestoreBackup puts the archive in r in the place of the whole cluster's state. With
// check nothing is changed: the answer says whether it could be.
func (c *Client) RestoreBackup(ctx context.Context, r io.Reader, check bool) (*BackupInfo, error) {
	in := request{house: true}
	if check {
		in.query = url.Values{"check": {"true"}}
	}
	res, err := c.stream(ctx, "/cluster/restore", in, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var i BackupInfo
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&i); err != nil {
		return nil, fmt.Errorf("restore backup: read answer: %w", err)
	}
	return &i, nil
}

// stream posts body and returns the answer with its body unread. Only ctx limits the time.
func (c *Client) stream(ctx context.Context, path string, in request, body io.Reader) (*http.Response, error) {
	return c.streamAs(ctx, http.MethodPost, path, in, body)
}

func (c *Client) streamAs(ctx context.Context, method, path string, in request, body io.Reader) (*http.Response, error) {
	req, err := c.request(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Body = io.NopCloser(body)
		req.ContentLength = -1
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	patient := *c.http
	patient.Timeout = 0
	res, err := patient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, withoutURL(err))
	}
	if res.StatusCode >= 200 && res.StatusCode <= 299 {
		return res, nil
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("POST %s: read answer: %w", path, err)
	}
	return nil, failure(res, data)
}

// A BackupSchedule says when the cluster is backed up, and where to.
type BackupSchedule struct {
	EveryMinutes int      `json:"every_minutes"` // 0: never
	KeepLast     int      `json:"keep_last,omitempty"`
	KeepDays     int      `json:"keep_days,omitempty"`
	Target       string   `json:"target,omitempty"` // file:///directory or s3://bucket/prefix
	Endpoint     string   `json:"endpoint,omitempty"`
	Region       string   `json:"region,omitempty"`
	AccessKey    string   `json:"access_key,omitempty"`
	SecretKey    string   `json:"secret_key,omitempty"` // never returned
	HasSecret    bool     `json:"has_secret"`
	Recipients   []string `json:"recipients,omitempty"`
}

// A BackupRun is one backup that the schedule asked for.
type BackupRun struct {
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"` // nil: under way
	Node      string     `json:"node"`
	Target    string     `json:"target"`
	Name      string     `json:"name"`
	Bytes     int64      `json:"bytes"`
	SHA256    string     `json:"sha256"`
	Index     uint64     `json:"index"`
	Deleted   int        `json:"deleted"`  // older archives
	Verified  bool       `json:"verified"` // read back whole
	Error     string     `json:"error"`
}

// BackupSchedule returns the schedule; EveryMinutes is 0 if there is none.
func (c *Client) BackupSchedule(ctx context.Context) (*BackupSchedule, error) {
	return fetch[BackupSchedule](ctx, c, http.MethodGet, "/cluster/backup-schedule", request{house: true}, nil)
}

// SetBackupSchedule replaces the schedule.
func (c *Client) SetBackupSchedule(ctx context.Context, s BackupSchedule) (*BackupSchedule, error) {
	return fetch[BackupSchedule](ctx, c, http.MethodPut, "/cluster/backup-schedule", request{body: s, house: true}, nil)
}

// BackupRuns returns the latest scheduled backups, newest first.
func (c *Client) BackupRuns(ctx context.Context) ([]BackupRun, error) {
	p, err := list[BackupRun](ctx, c, "/cluster/backup-runs", nil)
	if err != nil {
		return nil, err
	}
	return p.Data, nil
}

// StartBackupRun asks for a backup by the schedule now.
func (c *Client) StartBackupRun(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodPost, "/cluster/backup-runs", request{house: true}, nil)
	return err
}

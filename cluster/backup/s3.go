package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// partSize is how much of an archive is held in memory on its way to a bucket. A bucket
// takes 10 000 parts: 160 GB.
const partSize = 16 << 20

// A bucket is a part of an S3-compatible store. Its endpoint is chosen by the operator of
// the cluster and may be inside: no guard stands before private addresses.
type bucket struct {
	client       *minio.Client
	name, prefix string
}

func openBucket(s *Schedule, name, prefix, secret string) (target, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("endpoint: want https://host or http://host:port of the S3 store: %w", ErrSchedule)
	}
	if s.AccessKey == "" {
		return nil, fmt.Errorf("access key: is missing: %w", ErrSchedule)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	region := s.Region
	if region == "" {
		region = "us-east-1"
	}
	c, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, secret, ""), Secure: u.Scheme == "https", Region: region, Transport: transport, MaxRetries: 3,
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w: %w", ErrSchedule, err)
	}
	return &bucket{client: c, name: name, prefix: prefix}, nil
}

func (b *bucket) key(name string) string { return path.Join(b.prefix, name) }

// put sends what write writes in parts; the object is there when the last has been taken.
func (b *bucket) put(ctx context.Context, name string, write func(writer) error) error {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := write(w)
		w.CloseWithError(err)
		done <- err
	}()
	_, err := b.client.PutObject(ctx, b.name, b.key(name), r, -1, minio.PutObjectOptions{PartSize: partSize, ContentType: "application/octet-stream"})
	r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // write then ends, if it has not
	if wrote := <-done; err == nil {
		err = wrote
	}
	if err != nil {
		return fmt.Errorf("bucket %s: write: %w", b.name, err)
	}
	return nil
}

func (b *bucket) get(ctx context.Context, name string) (io.ReadCloser, error) {
	o, err := b.client.GetObject(ctx, b.name, b.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: read: %w", b.name, err)
	}
	return o, nil
}

func (b *bucket) list(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var names []string
	prefix := b.key("quis-")
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, fmt.Errorf("bucket %s: list: %w", b.name, o.Err)
		}
		names = append(names, path.Base(o.Key))
	}
	return names, nil
}

func (b *bucket) remove(ctx context.Context, name string) error {
	if err := b.client.RemoveObject(ctx, b.name, b.key(name), minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("bucket %s: delete: %w", b.name, err)
	}
	return nil
}

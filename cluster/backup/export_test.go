package backup

import (
	"context"
	"io"
)

// Through puts what write writes into the bucket of s, and gives what is there then.
func Through(ctx context.Context, s *Schedule, secret string, write func(io.Writer) error) (io.ReadCloser, error) {
	to, err := openBucket(s, "vault", "house", secret)
	if err != nil {
		return nil, err
	}
	if err := to.put(ctx, "large", write); err != nil {
		return nil, err
	}
	return to.get(ctx, "large")
}

// PartSize is how much goes at once.
const PartSize = partSize

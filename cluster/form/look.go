package form

import "context"

// Look returns the addresses that one entry of cluster.join stands for just now.
func (r Resolver) Look(ctx context.Context, entry string) ([]string, error) { return r.one(ctx, entry) }

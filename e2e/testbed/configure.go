package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Configure adds lines to the configuration file of every node, and restarts the nodes one after
// the other, as an operator does; the cluster serves meanwhile. Sections that `quis dev` writes
// itself cannot be added again.
func (d *Dev) Configure(ctx context.Context, lines string) error {
	for i := 1; i <= d.Nodes; i++ {
		f, err := os.OpenFile(filepath.Join(d.Dir, fmt.Sprintf("node-%d", i), "quis.yaml"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(lines)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
		if _, err := d.Quis(ctx, "dev", "stop", strconv.Itoa(i), "--data-dir", d.Dir); err != nil {
			return err
		}
		if err := d.Restart(ctx, i); err != nil {
			return err
		}
		if err := d.WaitReady(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

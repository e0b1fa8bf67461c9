package backup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"filippo.io/age"

	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// Options say how an archive is made. Root is always needed: its fingerprint is in the
// header. Without Recipients the archive is sealed under it.
type Options struct {
	Root       *seal.RootKey
	Recipients []age.Recipient
	ClusterID  string
	Version    string // of the program
	// Progress is told from time to time how much of the store has been written.
	Progress func(done, total int64)
	// Begun is told what the archive will be, before its first byte.
	Begun func(Info)
}

// Create writes an archive of everything acknowledged before the call to w. It reports
// fsm.ErrUnavailable without a leader. It changes nothing and holds no writer up.
func Create(ctx context.Context, db *fsm.DB, w io.Writer, o Options) (Info, error) {
	i, err := create(ctx, db, w, o)
	if err != nil {
		return i, fmt.Errorf("back up: %w", err)
	}
	return i, nil
}

func create(ctx context.Context, db *fsm.DB, w io.Writer, o Options) (Info, error) {
	if err := db.Read(ctx, func(*fsm.Tx) error { return nil }); err != nil {
		return Info{}, err
	}
	root, err := seal.Serving(ctx, db, o.Root)
	if err != nil {
		return Info{}, err
	}
	stream, err := db.OpenStream()
	if err != nil {
		return Info{}, err
	}
	defer stream.Close()
	i := Info{
		Format: 1, ID: newID(), ClusterID: o.ClusterID, Created: time.Now().UTC().Truncate(time.Second),
		Index: stream.Position.Index, Term: stream.Position.Term, Version: o.Version, RootKey: root.ID(), Sealed: SealedRoot,
	}
	// Features only ever come to be in use, so this says rather too much than too little.
	err = db.View(ctx, func(tx *fsm.Tx) (err error) {
		i.Features, err = feature.ActiveNames(tx)
		return err
	})
	if err != nil {
		return i, err
	}
	recipients := []age.Recipient{rootRecipient{root}}
	if len(o.Recipients) > 0 {
		i.Sealed, recipients = SealedAge, o.Recipients
	}
	if i.Size, err = stream.WriteTo(until{ctx, io.Discard}); err != nil { // for progress, and for whoever reads it
		return i, err
	}
	if err := errors.Join(i.check(), i.encode()); err != nil {
		return i, err
	}
	if o.Begun != nil {
		o.Begun(i)
	}
	sum := newSummed(until{ctx, w})
	if err := writeHeader(sum, magic, &i); err != nil {
		return i, err
	}
	body, err := age.Encrypt(sum, recipients...)
	if err != nil {
		return i, err
	}
	bound := i.bound()
	if _, err = body.Write(bound[:]); err == nil {
		_, err = stream.WriteTo(&telling{w: body, total: i.Size, tell: o.Progress})
	}
	err = errors.Join(err, body.Close())
	i.Bytes, i.SHA256 = sum.n, hex.EncodeToString(sum.h.Sum(nil))
	return i, err
}

func newID() string {
	var b [8]byte
	rand.Read(b[:])
	return "bak_" + hex.EncodeToString(b[:])
}

// Open checks an archive's header and returns the stream of the store that it holds. The
// stream is good only when it has been read to its end.
func Open(r io.Reader, k Keys) (io.Reader, Info, error) {
	i, err := ReadHeader(r)
	if err != nil {
		return nil, i, err
	}
	body, err := open(r, k, &i)
	return body, i, err
}

func open(r io.Reader, k Keys, i *Info) (io.Reader, error) {
	body, err := k.open(r, i)
	if err != nil {
		return nil, err
	}
	var got [32]byte
	if _, err := io.ReadFull(body, got[:]); err != nil {
		return nil, truncated(err)
	}
	if got != i.bound() {
		return nil, fmt.Errorf("its header is not the one that it was sealed with: %w", ErrDamaged)
	}
	return body, nil
}

// Verify reads a whole archive and checks everything that can be checked outside of a
// store: header, seal, checksums, every row's head, and with k.Root that the root
// key opens the sealing keys in it.
func Verify(r io.Reader, k Keys, progress func(done, total int64)) (Info, error) {
	sum := newSummed(io.Discard)
	tee := io.TeeReader(r, sum)
	body, i, err := Open(tee, k)
	if err != nil {
		return i, fmt.Errorf("verify backup: %w", err)
	}
	if err := inspect(io.TeeReader(body, &telling{w: io.Discard, total: i.Size, tell: progress}), k.Root, &i); err != nil {
		return i, fmt.Errorf("verify backup %s: %w", i.ID, err)
	}
	_, err = io.Copy(io.Discard, body) // the seal of the last chunk
	if err == nil {
		_, err = io.Copy(io.Discard, tee)
	}
	i.Bytes, i.SHA256 = sum.n, hex.EncodeToString(sum.h.Sum(nil))
	if err != nil {
		return i, fmt.Errorf("verify backup %s: %w", i.ID, truncated(err))
	}
	return i, nil
}

// inspect reads a stream to its end. It counts rows and events into i.
func inspect(stream io.Reader, root *seal.RootKey, i *Info) error {
	keys := 0
	c, err := fsm.Inspect(stream, func(table uint16, payload []byte) error {
		if root == nil {
			return nil
		}
		ok, err := seal.CheckRow(table, payload, root)
		if ok {
			keys++
		}
		return err
	})
	if errors.Is(err, seal.ErrSealed) {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err != nil {
		return truncated(err)
	}
	if root != nil && keys == 0 {
		return fmt.Errorf("it holds no sealing key: no node could start with it: %w", ErrDamaged)
	}
	i.Events = c.Entries
	for _, n := range c.Rows {
		i.Rows += n
	}
	return nil
}

// Reseal copies an archive from r to w, opened: for a server that shall restore it and
// has not the key. It must travel only where others cannot read.
func Reseal(w io.Writer, r io.Reader, k Keys) error {
	body, i, err := Open(r, k)
	if err != nil {
		return err
	}
	bound := i.bound()
	if err := writeHeader(w, magicClear, &i); err != nil {
		return err
	}
	if _, err := w.Write(bound[:]); err != nil {
		return err
	}
	_, err = io.Copy(w, body)
	return err
}

// A Prepared restore lies in a file beside the data until it is closed.
type Prepared struct {
	Info     Info
	File     *os.File // at its beginning
	Size     int64
	Position fsm.Position // that the stream stands at
}

// Close removes the file.
func (p *Prepared) Close() error { return errors.Join(p.File.Close(), os.Remove(p.File.Name())) }

// Prepare checks an archive for this store from its first byte to its last and writes
// what shall be restored into a file in dir. Nothing has changed when it returns.
func Prepare(ctx context.Context, db *fsm.DB, dir string, r io.Reader, k Keys, put func(Info) ([]fsm.Raw, error)) (*Prepared, error) {
	body, i, err := Open(r, k)
	if err == nil && !k.Root.Knows(i.RootKey) { // it may be sealed to somebody else
		err = foreignRoot(&i, k.Root)
	}
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	f, err := os.CreateTemp(dir, "incoming-restore-*")
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	p := &Prepared{Info: i, File: f}
	if err := p.fill(ctx, db, body, k, put); err != nil {
		return nil, errors.Join(fmt.Errorf("backup %s: %w", i.ID, truncated(err)), p.Close())
	}
	return p, nil
}

func (p *Prepared) fill(ctx context.Context, db *fsm.DB, body io.Reader, k Keys, put func(Info) ([]fsm.Raw, error)) error {
	rows, err := put(p.Info)
	if err != nil {
		return err
	}
	counted := newSummed(until{ctx, p.File})
	limited := io.LimitReader(body, p.Info.Size+1)
	if p.Position, err = db.Adopt(counted, limited, rows...); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, body); err != nil || n > 0 {
		return fmt.Errorf("%d bytes behind the end of the store: %w", n, errors.Join(ErrDamaged, err))
	}
	p.Size = counted.n
	if _, err = p.File.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := inspect(p.File, k.Root, &p.Info); err != nil {
		return err
	}
	_, err = p.File.Seek(0, io.SeekStart)
	return err
}

// until refuses to write when ctx has ended.
type until struct {
	ctx context.Context
	w   io.Writer
}

func (u until) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}

type summed struct {
	w io.Writer
	h hash.Hash
	n int64
}

func newSummed(w io.Writer) *summed { return &summed{w: w, h: sha256.New()} }

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.h.Write(p[:n])
	s.n += int64(n)
	return n, err
}

// telling reports progress at most four times a second.
type telling struct {
	w           io.Writer
	done, total int64
	tell        func(done, total int64)
	last        time.Time
}

func (t *telling) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.done += int64(n)
	if t.tell != nil && (time.Since(t.last) > 250*time.Millisecond || t.done >= t.total) {
		t.last = time.Now()
		t.tell(t.done, t.total)
	}
	return n, err
}

package backup

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/quis-idp/quis/keys/seal"
)

// stanza is the kind of recipient line that the root key makes in an archive.
const stanza = "quis-root-key"

var wrapContext = []byte("backup file key")

// A Keys opens archives: those sealed under the root key, and those sealed to one of the identities.
type Keys struct {
	Root       *seal.RootKey
	Identities []age.Identity
	// Opened takes archives that somebody else has opened, too. Nothing vouches for what is in
	// them but who brings them: only for what comes from the machine itself.
	Opened bool
}

// rootRecipient seals to whoever has the root key. Only they can seal so.
type rootRecipient struct{ root *seal.RootKey }

func (r rootRecipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	box, err := r.root.Wrap(fileKey, wrapContext)
	if err != nil {
		return nil, err
	}
	return []*age.Stanza{{Type: stanza, Args: []string{r.root.ID()}, Body: box}}, nil
}

func (r rootRecipient) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		if s.Type != stanza || len(s.Args) != 1 || !r.root.Knows(s.Args[0]) || len(s.Body) > 256 {
			continue
		}
		key, err := r.root.Unwrap(s.Body, wrapContext)
		if err == nil && len(key) == 16 {
			return key, nil
		}
	}
	return nil, age.ErrIncorrectIdentity
}

var errOpened = fmt.Errorf("it was opened on its way, so nothing proves what is in it: restore it on the host of a node, through its own socket (--data-dir): %w", ErrKey)

// open returns the body of an archive, opened.
func (k Keys) open(r io.Reader, i *Info) (io.Reader, error) {
	var ids []age.Identity
	switch {
	case i.Sealed == SealedClear && !k.Opened:
		return nil, errOpened
	case i.Sealed == SealedClear:
		return r, nil
	case i.Sealed == SealedRoot && k.Root == nil:
		return nil, fmt.Errorf("it is sealed under root key %s, and there is no root key here: name it with --root-key-file: %w", i.RootKey, ErrKey)
	case i.Sealed == SealedRoot && !k.Root.Knows(i.RootKey):
		return nil, foreignRoot(i, k.Root)
	case i.Sealed == SealedRoot:
		ids = []age.Identity{rootRecipient{k.Root}}
	case len(k.Identities) == 0:
		return nil, fmt.Errorf("it is sealed to age recipients: name the file of one's identity with --identity: %w", ErrKey)
	default:
		ids = k.Identities
	}
	body, err := age.Decrypt(r, ids...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("none of the keys at hand opens it: %w", ErrKey)
	}
	if err != nil {
		return nil, fmt.Errorf("sealed body: %w: %w", ErrDamaged, err)
	}
	return sealedBody{body}, nil
}

// foreignRoot names both keys, before anything has changed.
func foreignRoot(i *Info, mine *seal.RootKey) error {
	return fmt.Errorf("the backup needs root key %s, this cluster has root key %s: restore it into a cluster that was founded with the backup's root key: %w",
		i.RootKey, strings.Join(mine.IDs(), ", "), ErrKey)
}

// sealedBody says what a failure to open a chunk means.
type sealedBody struct{ io.Reader }

func (s sealedBody) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("sealed body: it was changed or cut: %w: %w", ErrDamaged, err)
	}
	return n, err
}

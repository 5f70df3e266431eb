package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// lockName is a file in the data directory. It stays there; only its lock counts.
const lockName = "invited.lock"

// ErrInUse means that another process has the data directory.
var ErrInUse = errors.New("another process uses it")

// dirLock is held while a server uses a data directory.
type dirLock struct{ file *os.File }

func lockDir(dir string) (*dirLock, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	file, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("embedded NATS can't have the data directory %s (stop the other invited, "+
			"set nats.embedded.data_dir to another directory, or set nats.url to the other's address): %w", dir, err)
	}
	return &dirLock{file}, nil
}

func (l *dirLock) release() error { return l.file.Close() }

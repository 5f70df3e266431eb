package configs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/configs"
)

func TestWhatIsReadAgainIsAFileWithSomethingInIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "invited.yaml")
	for _, begun := range []string{"", " \n"} {
		require.NoError(t, os.WriteFile(path, []byte(begun), 0o600))
		_, _, err := configs.Load(path, env())
		require.NoError(t, err, "at the start that means the defaults")
		_, _, err = configs.Reload(path, env())
		assert.EqualError(t, err, path+": the file can't be read: it is empty")
	}
	_, _, err := configs.Reload(os.DevNull, env())
	assert.ErrorContains(t, err, "no regular file", "a pipe would be waited for, and one that was read has nothing left")
	_, _, err = configs.Reload(path+"x", env())
	assert.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, os.WriteFile(path, []byte("quota: {max_in_flight: 9}"), 0o600))
	config, _, err := configs.Reload(path, env())
	require.NoError(t, err)
	assert.Equal(t, 9, config.Quota.MaxInFlight)
	config, _, err = configs.Reload("", env("INVITED_LOG_LEVEL", "debug"))
	require.NoError(t, err, "there may be no file at all")
	assert.Equal(t, configs.LogLevel("debug"), config.Log.Level)
}

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/queue"
)

func TestToolsAreToldTheQuotaThatTheWorkerKeeps(t *testing.T) {
	nine := 9
	cfg := configs.Default()
	cfg.Quota.Titles = map[uint32]configs.Title{
		730: {Windows: []configs.Window{{Max: 1000, Per: time.Second}}}, 731: {MaxInFlight: &nine}, 732: {Windows: []configs.Window{}},
	}
	told, kept := announcedQuota(cfg.Quota), dispatcherConfig(cfg, queue.Options{}, nil).Plan
	assert.InDelta(t, kept.Limits.Reserve, told.Reserve, 0)
	assert.Equal(t, "7/15s,50/300s", queue.WindowsString(told.Windows))
	for id := uint32(729); id <= 732; id++ {
		limits, ok := kept.Titles[id]
		if !ok {
			limits = kept.Limits
		}
		var windows []queue.Window
		for _, w := range limits.Windows {
			windows = append(windows, queue.Window(w))
		}
		assert.Equal(t, queue.Limits{Windows: windows, MaxInFlight: limits.MaxInFlight}, told.For(id), "title %d", id)
	}
}

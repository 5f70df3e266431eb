package main

import (
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/invitedhq/invited/cmd/internal/sources"
	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
)

// reloader reads the configuration again at SIGHUP, puts in force what can be
// changed while the worker runs, and says what changed. A file with a mistake
// changes nothing.
type reloader struct {
	load  func() (configs.Config, configs.Warnings, error)
	level *slog.LevelVar
	asked chan os.Signal
}

// newReloader takes SIGHUP from now on, which would end the process otherwise.
// What is asked for while the worker starts is done once it works.
func newReloader(level *slog.LevelVar, load func() (configs.Config, configs.Warnings, error)) *reloader {
	r := &reloader{load: load, level: level, asked: make(chan os.Signal, 1)}
	signal.Notify(r.asked, syscall.SIGHUP)
	return r
}

func (r *reloader) stop() { signal.Stop(r.asked) }

// reloadable are the sections and keys that are put in force without a restart.
func reloadable(key string) bool {
	section, _, _ := strings.Cut(key, ".")
	return section == "quota" || section == "tokens" || key == "log.level"
}

// begin does what it is asked for, until stop is called. It is nil-safe.
func (r *reloader) begin(w *worker, tokens *replaceable, d *dispatcher.Dispatcher, q *queue.Queue) (stop func()) {
	if r == nil {
		return func() {}
	}
	ended := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() {
		now := w.cfg
		select {
		case <-w.started: // its supervisor must not be told that it is ready before
		case <-ended:
			return
		}
		for {
			select {
			case <-r.asked:
				now = r.reload(w, now, tokens, d, q)
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		listening.Wait()
	}
}

// reload returns the configuration that is in force then.
func (r *reloader) reload(
	w *worker, old configs.Config, tokens *replaceable, d *dispatcher.Dispatcher, q *queue.Queue,
) configs.Config {
	boss := supervisor{w.log}
	boss.say(daemon.SdNotifyReloading)
	defer boss.say(daemon.SdNotifyReady)
	read, warnings, err := r.load()
	if err != nil {
		w.log.Error("the configuration has a mistake; nothing is changed", "error", err)
		return old
	}
	for _, warning := range warnings {
		w.log.Warn("configuration", "warning", warning.String())
	}
	now := old
	now.Quota, now.Tokens, now.Log.Level = read.Quota, read.Tokens, read.Log.Level
	changed := configs.Changes(old, now)
	if anyOf(changed, "tokens.") {
		source, err := sources.New(read.Tokens, w.metrics.TokenRefreshed)
		if err != nil {
			w.log.Error("tokens can't be had as the configuration says; nothing is changed", "error", err)
			return old
		}
		tokens.replace(source)
	} else {
		tokens.retry()
	}
	if anyOf(changed, "quota.") {
		c := dispatcherConfig(now, queue.Options{}, w.log).Plan
		d.Reconfigure(c.Limits, c.Titles)
		w.metrics.Know(titlesOf(now.Quota)...)
		q.AnnounceQuota(announcedQuota(now.Quota))
	}
	for _, c := range changed {
		w.log.Info("configuration changed", "key", c.Key, "change", c.String())
	}
	r.level.Set(levelOf(now.Log.Level))
	for _, c := range configs.Changes(old, read) {
		if !reloadable(c.Key) {
			w.log.Warn("a change of the configuration takes a restart", "key", c.Key, "change", c.String())
		}
	}
	if len(changed) == 0 {
		w.log.Info("configuration read again; nothing that can be changed now has changed")
	}
	return now
}

func anyOf(changed []configs.Change, prefix string) bool {
	for _, c := range changed {
		if strings.HasPrefix(c.Key, prefix) {
			return true
		}
	}
	return false
}

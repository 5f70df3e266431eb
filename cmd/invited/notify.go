package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// supervisor is whoever started the worker and wants to hear of it, as systemd
// does of a service of Type=notify: NOTIFY_SOCKET says where. Without one
// nothing is said. See sd_notify(3).
type supervisor struct{ log *slog.Logger }

func (s supervisor) say(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("the supervisor could not be told", "state", state, "error", err)
	}
}

const readyEvery = 100 * time.Millisecond

// attend tells that the worker is ready, once it is, and from then on, if that
// is asked for, that it is alive. It returns when ctx ends, which it tells as well.
func (s supervisor) attend(ctx context.Context, ready, alive func(context.Context) error) {
	defer s.say(daemon.SdNotifyStopping)
	if !s.await(ctx, ready) {
		return
	}
	s.say(daemon.SdNotifyReady)
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("WATCHDOG_USEC can't be read", "error", err)
	}
	if every == 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			asking, cancel := context.WithTimeout(ctx, every/2)
			if alive(asking) == nil {
				s.say(daemon.SdNotifyWatchdog)
			}
			cancel()
		case <-ctx.Done():
			return
		}
	}
}

// await reports false if ctx ends first.
func (s supervisor) await(ctx context.Context, ready func(context.Context) error) bool {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for ready(ctx) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

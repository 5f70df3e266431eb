package main

import (
	"log/slog"
	"maps"
	"slices"

	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/xbl"
)

// This file is where the configuration meets the packages: each of them has
// options of its own, and none of them knows configs.

func embeddedOptions(c configs.Embedded, log *slog.Logger) embedded.Options {
	return embedded.Options{Listen: c.Listen, DataDir: c.DataDir, Sync: embedded.Sync(c.Sync), Logger: log}
}

func connectOptions(c configs.NATS, log *slog.Logger) queue.ConnectOptions {
	return queue.ConnectOptions{
		URL: c.URL.Reveal(), CredentialsFile: c.CredentialsFile,
		CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile,
		Name: "invited", RetryOnFailedConnect: true, Logger: log,
	}
}

func queueOptions(c configs.NATS, log *slog.Logger) queue.Options {
	return queue.Options{Replicas: c.Replicas, Partitions: c.Partitions, KeepCampaigns: c.KeepCampaigns, Logger: log}
}

func clientOptions(c configs.Config, tokens xbl.TokenSource) (xbl.Options, error) {
	audience, err := xbl.ParseAudience(string(c.XBL.Audience))
	if err != nil {
		return xbl.Options{}, err
	}
	return xbl.Options{
		BaseURL: c.XBL.BaseURL, Audience: audience, Timeout: c.XBL.Timeout, MaxRetryAfter: c.XBL.MaxRetryAfter,
		Tokens: tokens, MaxInFlight: c.Dispatch.MaxInFlight,
	}, nil
}

func dispatcherConfig(c configs.Config, lease queue.Options, log *slog.Logger) dispatcher.Config {
	return dispatcher.Config{
		Plan: plan.Config{
			Limits:              limits(c.Quota.InteractiveReserve, c.Quota.Windows, c.Quota.MaxInFlight),
			Titles:              titleLimits(c.Quota),
			MaxInFlight:         c.Dispatch.MaxInFlight,
			MaxAttempts:         c.Dispatch.Retry.MaxAttempts,
			DeadLetterAmbiguous: c.XBL.OnAmbiguous == configs.AmbiguousDeadLetter,
			Retry:               dispatcher.Retries(c.Dispatch.Retry.Initial, c.Dispatch.Retry.Max),
			Probe:               dispatcher.Probes(),
		},
		InteractiveTTL: c.Dispatch.InteractiveTTL,
		ServerAudience: c.XBL.Audience == configs.AudienceServer,
		AckWait:        lease.AckWait,
		Grace:          c.Dispatch.ShutdownGrace,
		Logger:         log,
	}
}

func titleLimits(q configs.Quota) map[uint32]plan.Limits {
	all := make(map[uint32]plan.Limits, len(q.Titles))
	for id := range q.Titles {
		windows, maxInFlight := q.For(id)
		all[id] = limits(q.InteractiveReserve, windows, maxInFlight)
	}
	return all
}

func limits(reserve float64, windows []configs.Window, maxInFlight int) plan.Limits {
	l := plan.Limits{MaxInFlight: maxInFlight, Reserve: reserve}
	for _, w := range windows {
		l.Windows = append(l.Windows, plan.Window{Max: w.Max, Per: w.Per})
	}
	return l
}

// titlesOf are those that the configuration names, in order.
func titlesOf(q configs.Quota) []uint32 { return slices.Sorted(maps.Keys(q.Titles)) }

// announcedQuota is what tools are told of the quota.
func announcedQuota(q configs.Quota) queue.Quota {
	all := queue.Quota{
		Limits: announcedLimits(q.Windows, q.MaxInFlight), Reserve: q.InteractiveReserve,
		Titles: make(map[uint32]queue.Limits, len(q.Titles)),
	}
	for id := range q.Titles {
		all.Titles[id] = announcedLimits(q.For(id))
	}
	return all
}

func announcedLimits(windows []configs.Window, maxInFlight int) queue.Limits {
	l := queue.Limits{MaxInFlight: maxInFlight}
	for _, w := range windows {
		l.Windows = append(l.Windows, queue.Window(w))
	}
	return l
}
